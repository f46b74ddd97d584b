-- Servers with IDMP (Redis 8.6): the stream itself recognises an event id. It knows a limited number of ids a producer, so
-- that the first two digits of the id are the producer.
local function before()
	if try('EXISTS', KEYS[1]) == 0 then
		-- The limits of a stream can be set when it exists, and setting them forgets all ids.
		mark_stream()
		try('XCFGSET', KEYS[1], 'IDMP-DURATION', math.ceil(ARGV[3] / 1000), 'IDMP-MAXSIZE', math.ceil(ARGV[4] / 256))
	end
	out[1] = '<' .. last_id()
end

local function append(i)
	local entry = try('XADD', KEYS[1], 'IDMP', string.sub(ARGV[i], 1, 2), ARGV[i], '*', 'event_id', ARGV[i], 'subject', ARGV[i + 1],
		'key', ARGV[i + 2], 'headers', ARGV[i + 3], 'payload', ARGV[i + 4], 'created_at', ARGV[i + 5], 'seq', ARGV[i + 6])
	if entry then out[#out + 1] = entry end
end

local function after() end
