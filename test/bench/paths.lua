-- wrk: each thread asks for the lines of a file, in an order drawn at random before the clock runs.
-- Arguments: seed, file.
local threads = 0
local requests = {}
local at = 0

function setup(thread)
    thread:set("number", threads)
    threads = threads + 1
end

function init(args)
    math.randomseed(tonumber(args[1]) + number)
    for line in io.lines(args[2]) do
        requests[#requests + 1] = wrk.format("GET", line)
    end
    for i = #requests, 2, -1 do
        local j = math.random(1, i)
        requests[i], requests[j] = requests[j], requests[i]
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end
