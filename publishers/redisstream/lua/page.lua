-- Reads a page of the stream KEYS[1], at most about ARGV[4] entries and ARGV[5] bytes, so that other clients do not wait for long.
-- ARGV  1 the first id, or the one before it with a ( in front; 2 the last id; 3 whether payload and headers are wanted, 1 or 0
--
-- The answer is where the next page begins, empty after the last one, and then for each event: the entry's id, event_id, subject, key,
-- seq, headers, payload. What has no event_id or seq was added by somebody else and is left out.
local STEP = 16 -- so few may be in memory at once, however large they are
local out, from, entries, bytes = { '' }, ARGV[1], 0, 0
while entries < tonumber(ARGV[4]) and bytes < tonumber(ARGV[5]) do
	local step = redis.call('XRANGE', KEYS[1], from, ARGV[2], 'COUNT', STEP)
	for _, entry in ipairs(step) do
		local event, fields = {}, entry[2]
		for n = 1, #fields, 2 do
			event[fields[n]] = fields[n + 1]
			bytes = bytes + #fields[n + 1]
		end
		if event.event_id and event.seq then
			local whole = ARGV[3] == '1'
			for _, word in ipairs({
				entry[1], event.event_id, event.subject or '', event.key or '', event.seq,
				whole and event.headers or '', whole and event.payload or '',
			}) do out[#out + 1] = word end
		end
	end
	if #step < STEP then return out end
	from = '(' .. step[STEP][1]
	entries = entries + STEP
end
out[1] = from
return out
