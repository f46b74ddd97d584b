-- A stream has a mark, which tells it from another one under the same name: a consumer group that nobody reads, named
-- outbox-relay:<random>. Nothing else is so much a part of the stream: it is deleted, renamed, copied, dumped and restored
-- with it, and a replica or a file has it if it has the entries. The group stands behind every id there can be, so
-- it has no lag, and entries do not wait for it.
-- A group with a longer name belongs to others.
local MARK, BEHIND_ALL = 'outbox-relay:', '18446744073709551615-18446744073709551615'
local marks, last = {}, nil

-- has_mark tells whether the stream is there and has this mark.
local function has_mark(mark)
	if marks[mark] == nil then marks[mark] = ask('NOGROUP', 'XPENDING', KEYS[1], MARK .. mark) ~= nil end
	return marks[mark]
end

-- mark_stream returns the mark of the stream. It makes the stream, and gives it a mark, where there is none.
local function mark_stream()
	for _, group in ipairs(ask('no such key', 'XINFO', 'GROUPS', KEYS[1]) or {}) do
		local name = group[2]
		if string.sub(name, 1, #MARK) == MARK and #name <= #MARK + 64 then return string.sub(name, #MARK + 1) end
	end
	if not failure then try('XGROUP', 'CREATE', KEYS[1], MARK .. ARGV[7], BEHIND_ALL, 'MKSTREAM') end
	marks = {}
	return ARGV[7]
end

-- last_id returns the last id that the stream gave before this call of the script.
local function last_id()
	if last then return last end
	local info = ask('no such key', 'XINFO', 'STREAM', KEYS[1]) or {}
	last = '0-0'
	for n = 1, #info, 2 do
		if info[n] == 'last-generated-id' then last = info[n + 1] end
	end
	return last
end

local function is_after(a, b)
	local ams, aseq = string.match(a, '(%d+)-(%d+)')
	local bms, bseq = string.match(b, '(%d+)-(%d+)')
	ams, aseq, bms, bseq = tonumber(ams), tonumber(aseq), tonumber(bms), tonumber(bseq)
	return ams > bms or ams == bms and aseq > bseq
end

-- expect fails unless the stream goes on from what is known of it.
local function expect(mark, reached)
	if mark == '' or failure then return end
	if not has_mark(mark) then
		failure = failure or 'REWOUND ' .. KEYS[1] .. ' was deleted or replaced: it has no consumer group ' .. MARK .. mark
	elseif is_after(reached, last_id()) then
		failure = failure or 'REWOUND ' .. KEYS[1] .. ' ends at ' .. last_id() .. ', and was at ' .. reached
	end
end
