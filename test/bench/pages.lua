-- wrk: each thread asks for paths drawn at random, prepared before the clock runs.
-- Arguments: seed, text before the number, how many numbers, text after the number.
local DRAWS = 20000
local threads = 0
local requests = {}
local at = 0

function setup(thread)
    thread:set("number", threads)
    threads = threads + 1
end

function init(args)
    math.randomseed(tonumber(args[1]) + number)
    for i = 1, DRAWS do
        requests[i] = wrk.format("GET", args[2] .. math.random(1, tonumber(args[3])) .. args[4])
    end
end

function request()
    at = at % DRAWS + 1
    return requests[at]
end
