-- Adds events to a stream in their order, each once, and stops at the first that cannot be added. The functions before,
-- append and after are those of one way to recognise an event, which stands above.
--
-- KEYS  1 the stream, 2 the gate of the publisher; more are those of the way
-- ARGV  1 what the gate must hold, empty for any; 2 what it holds when all events are stored
--       3 how long ids are remembered, in milliseconds; 4 how many are
--       5 how many entries are kept, 0 for all; 6 how old entries may become, in milliseconds, 0 for any age
--       7 the mark of a stream that has none yet; 8 the mark that the stream must have, empty for any; 9 the id that it
--       must have reached then
--       10 and so on, for each event: event_id subject key headers payload created_at seq. Without any the script only looks
--       whether events could be added
--
-- The answer has a word an event, as far as it came, separated by spaces:
--
--   id     the entry of a new event         <id  comes first: entries up to this one were there before
--   =id    the entry of a duplicate         !... comes last: why it stopped

-- The gate is what makes parts that are sent without waiting one batch: a part is refused unless the part before it was
-- stored as a whole.
if ARGV[1] ~= '' and try('GET', KEYS[2]) ~= ARGV[1] then
	return '!' .. (failure or 'GATE the part before was not stored')
end
-- A first write finds out whether the server takes any, before an entry is written. After it Redis does not stop a script for lack of
-- memory.
try('SET', KEYS[2], '', 'PX', 60000)
expect(ARGV[8], ARGV[9])
if not failure then before() end
if not failure and #ARGV < FIRST then mark_stream() end

local i = FIRST
while not failure and i <= #ARGV do
	append(i)
	i = i + WIDTH
end
after()

if not failure and ARGV[5] ~= '0' then try('XTRIM', KEYS[1], 'MAXLEN', '~', ARGV[5]) end
if not failure and ARGV[6] ~= '0' then
	local now = redis.call('TIME')
	local oldest = now[1] * 1000 + math.floor(now[2] / 1000) - ARGV[6]
	try('XTRIM', KEYS[1], 'MINID', '~', string.format('%.0f', oldest))
end
if not failure then try('SET', KEYS[2], ARGV[2], 'PX', 60000) end
if failure then out[#out + 1] = '!' .. failure end
return table.concat(out, ' ')
