local FIRST, WIDTH = 10, 7
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

-- ask calls a command. An error with these words is no failure, and the answer is nil then too.
local function ask(words, ...)
	local answer = redis.pcall(...)
	if type(answer) ~= 'table' or not answer.err then return answer end
	if not string.find(answer.err, words, 1, true) then failure = failure or answer.err end
	return nil
end
