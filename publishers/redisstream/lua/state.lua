-- Tells the state of the stream KEYS[1]: its mark (see stream.lua), the last id that it gave, the id of its first entry, how
-- many entries it holds, and how many were ever added. A word that is not known is empty.
local state, mark = {}, ''
local info = redis.call('XINFO', 'STREAM', KEYS[1])
for n = 1, #info, 2 do state[info[n]] = info[n + 1] end
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
	local found = string.match(group[2], '^outbox%-relay:(.+)$')
	if found and mark == '' and #found <= 64 then mark = found end
end
local first, added = state['first-entry'], state['entries-added']
return {
	mark, state['last-generated-id'], first and first[1] or '',
	string.format('%.0f', state['length']), added and string.format('%.0f', added) or '',
}
