-- Servers without IDMP: the ids are two hashes of event id to entry id, KEYS[3] the younger and KEYS[4] the older one. The younger
-- becomes the older after the window, or when it is full; so an id lives for one to two windows. The older is removed with
-- UNLINK, which does not block; it expires by itself where nothing is published any more. Two more fields say to which stream
-- the ids belong: its mark, and the last id that it had given.
local ids, known, older, fresh = {}, {}, {}, {}

local function retire()
	try('UNLINK', KEYS[4])
	try('RENAME', KEYS[3], KEYS[4])
end

-- stale tells whether ids are not those of the stream: it is another one, or was set back, as by a restored backup. What it lost
-- must not count as stored.
local function stale(key)
	local have = try('HMGET', key, 'mark', 'last')
	return have and have[1] and (not has_mark(have[1]) or is_after(have[2], last_id()))
end

local function open_ids()
	local foreign = stale(KEYS[3]) or stale(KEYS[4])
	if foreign and not failure then try('UNLINK', KEYS[3], KEYS[4]) end
	local left = try('PTTL', KEYS[3])
	if failure then return end
	if left ~= -2 and (left <= 2 * ARGV[3] or (try('HLEN', KEYS[3]) or 0) >= tonumber(ARGV[4])) then
		retire()
		left = -2
	end
	if left == -2 then
		local mark = mark_stream()
		if failure then return end
		try('HSET', KEYS[3], 'mark', mark, 'last', last_id()) -- not after the first entry: the right to do so may be missing
		try('PEXPIRE', KEYS[3], 3 * ARGV[3])
	end
end

local function before()
	open_ids()
	for i = FIRST, #ARGV, WIDTH do ids[#ids + 1] = ARGV[i] end
	if failure or #ids == 0 then return end
	known = try('HMGET', KEYS[3], unpack(ids)) or {}
	older = try('HMGET', KEYS[4], unpack(ids)) or {}
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
	if #fresh == 0 then return end
	try('HSET', KEYS[3], 'last', fresh[#fresh], unpack(fresh))
end
