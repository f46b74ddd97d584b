-- Returns for how long the stream KEYS[1] remembers ids, in seconds, and how many of a producer. XINFO
-- also returns the first and the last entry. These may have any size, and stay in the server here.
local info, limits = redis.call('XINFO', 'STREAM', KEYS[1]), {}
for n = 1, #info, 2 do limits[info[n]] = info[n + 1] end
return { limits['idmp-duration'] or 0, limits['idmp-maxsize'] or 0 }
