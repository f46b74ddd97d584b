-- Servers without IDMP: the ids are two hashes of event id to entry id, KEYS[3] the younger and KEYS[4] the older one. The younger
-- becomes the older after the window, or when it is full; so an id lives for one to two windows. The older is removed with
-- UNLINK, which does not block; it expires by itself where nothing is published any more.
local ids, known, older, fresh = {}, {}, {}, {}

local function retire()
	try('UNLINK', KEYS[4])
	try('RENAME', KEYS[3], KEYS[4])
end

local function open_ids()
	local left = try('PTTL', KEYS[3])
	if failure then return end
	if left ~= -2 and try('EXISTS', KEYS[1]) == 0 then
		-- The stream was removed; what was in it may be wanted again.
		try('UNLINK', KEYS[3], KEYS[4])
		left = -2
	end
	if left ~= -2 and (left <= 2 * ARGV[3] or (try('HLEN', KEYS[3]) or 0) >= tonumber(ARGV[4])) then
		retire()
		left = -2
	end
	if left == -2 and not failure then
		try('HSET', KEYS[3], '', '') -- not after the first entry: the right to do so may be missing
		try('PEXPIRE', KEYS[3], 3 * ARGV[3])
	end
end

local function after_id(a, b)
	local ams, aseq = string.match(a, '(%d+)-(%d+)')
	local bms, bseq = string.match(b, '(%d+)-(%d+)')
	ams, aseq, bms, bseq = tonumber(ams), tonumber(aseq), tonumber(bms), tonumber(bseq)
	return ams > bms or ams == bms and aseq > bseq
end

-- forget_lost drops what is not in the stream because that was set back, as by a restored backup.
local function forget_lost()
	local last
	for n = 1, #ids do
		local entry = known[n] or older[n]
		if entry then
			last = last or last_id()
			if after_id(entry, last) then known[n], older[n] = false, false end
		end
	end
end

local function before()
	open_ids()
	for i = FIRST, #ARGV, WIDTH do ids[#ids + 1] = ARGV[i] end
	if failure or #ids == 0 then return end
	known = try('HMGET', KEYS[3], unpack(ids)) or {}
	older = try('HMGET', KEYS[4], unpack(ids)) or {}
	forget_lost()
end

local function append(i)
	local n = (i - FIRST) / WIDTH + 1
	local entry = known[n] or older[n] or fresh[ARGV[i]]
	if entry then
		out[#out + 1] = '=' .. entry
		return
	end
	entry = try('XADD', KEYS[1], '*', 'event_id', ARGV[i], 'subject', ARGV[i + 1], 'key', ARGV[i + 2], 'headers', ARGV[i + 3],
		'payload', ARGV[i + 4], 'created_at', ARGV[i + 5], 'seq', ARGV[i + 6])
	if entry then
		out[#out + 1] = entry
		fresh[#fresh + 1] = ARGV[i]
		fresh[#fresh + 1] = entry
		fresh[ARGV[i]] = entry
	end
end

local function after()
	if #fresh > 0 then try('HSET', KEYS[3], unpack(fresh)) end
end
