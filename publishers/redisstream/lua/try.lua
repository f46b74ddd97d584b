local FIRST, WIDTH = 7, 7
local out, failure = {}, nil

-- try calls a command. An error is kept as the failure, and the answer is nil then.
local function try(...)
	local answer = redis.pcall(...)
	if type(answer) == 'table' and answer.err then
		failure = failure or answer.err
		return nil
	end
	return answer
end

-- last_id returns the last id that the stream gave.
local function last_id()
	local info = try('XINFO', 'STREAM', KEYS[1])
	for n = 1, #(info or {}), 2 do
		if info[n] == 'last-generated-id' then return info[n + 1] end
	end
	return '0-0'
end
