-- Reads a page of the stream KEYS[1], so that other clients do not wait for long. It ends after
-- ARGV[4] entries, or with the entry that makes it ARGV[5] bytes.
-- ARGV  1 the first id, or the one before it with a ( in front; 2 the last id
--       3 whether payload and headers are wanted, 1 or 0
--       6 and so on: names of fields, and after each how many bytes it may have
--
-- The answer is where the next page begins, empty after the last one, and then for each event: the
-- entry's id, event_id, subject, key, seq, headers, payload. An entry without an event_id of 36
-- bytes, without a seq, or with a larger value than an event can have is left out: others added it.
local most_entries, most_bytes, whole = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[3] == '1'
local largest = {}
for n = 6, #ARGV, 2 do largest[ARGV[n]] = tonumber(ARGV[n + 1]) end

-- read_entry returns the values of an entry, how many bytes it has, and whether it can be an event.
local function read_entry(fields)
	local event, bytes, fits = {}, 0, true
	for n = 1, #fields, 2 do
		local name, value = fields[n], fields[n + 1]
		bytes = bytes + #name + #value
		if largest[name] then
			event[name] = value
			fits = fits and #value <= largest[name]
		end
	end
	return event, bytes, fits and event.event_id and #event.event_id == 36 and event.seq
end

local out, from, bytes = { '' }, ARGV[1], 0
for _ = 1, most_entries do
	-- One at a time, for each may have 512 MiB. Reading many small ones at once is hardly faster.
	local entry = redis.call('XRANGE', KEYS[1], from, ARGV[2], 'COUNT', 1)[1]
	if not entry then return out end
	local event, size, ours = read_entry(entry[2])
	if ours then
		for _, word in ipairs({
			entry[1], event.event_id, event.subject or '', event.key or '', event.seq,
			whole and event.headers or '', whole and event.payload or '',
		}) do out[#out + 1] = word end
	end
	from, bytes = '(' .. entry[1], bytes + size
	if bytes >= most_bytes then break end
end
out[1] = from
return out
