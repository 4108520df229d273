"""What Redis does in one step, so that no two requests let in the same visitor or give the same place twice."""

# Takes a place at the end of the queue, unless the visitor has one, lets in whoever's turn it is, and tells the visitor
# how it stands. The clock is Redis's own. `allowance` is how many may still be let in: it grows by `pace` a second, and
# holds a quarter of a second's worth at most. Whoever is called keeps the turn for as long as a leaver keeps a place;
# the window begins when they come. At the front each asks again when the turn comes, so that they come in one by one.
ASK = """
local queue, leaving, inside, called, claims, room = unpack(KEYS)
local visitor, is_page, lowest_pace = ARGV[1], ARGV[2] == '1', tonumber(ARGV[3])
local most_inside, window, patience = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local soonest, latest, most_questions, lease = unpack(ARGV, 7)
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local function read(name, default) return tonumber(redis.call('HGET', room, name)) or default end

for _, other in ipairs(redis.call('ZRANGEBYSCORE', inside, '-inf', now, 'LIMIT', 0, 100)) do
    redis.call('ZREM', inside, other)
    redis.call('SREM', called, other)
    redis.call('HDEL', claims, other)
end
for _, other in ipairs(redis.call('ZRANGEBYSCORE', leaving, '-inf', now, 'LIMIT', 0, 100)) do
    redis.call('ZREM', leaving, other)
    redis.call('ZREM', queue, other)
end

local pace, useful = read('pace', lowest_pace), read('useful', most_inside)
local batch = pace > 0 and math.max(pace / 4, 1) or 0
local allowance = math.min(batch, read('allowance', batch) + (now - read('at', now)) * pace)
local room_inside = math.min(useful, most_inside) - redis.call('ZCARD', inside)
local free = math.min(math.floor(allowance), room_inside)
local is_open = pace > 0 and room_inside > free
local is_let_in = redis.call('ZSCORE', inside, visitor) and true or false

if useful == 0 and not is_let_in and is_page and allowance >= 1 then
    is_let_in, allowance = true, allowance - 1
elseif useful > 0 then
    if not is_let_in and not redis.call('ZSCORE', queue, visitor) then
        redis.call('ZADD', queue, redis.call('HINCRBY', room, 'last', 1), visitor)
    end
    for _, other in ipairs(free > 0 and redis.call('ZRANGE', queue, 0, free - 1) or {}) do
        redis.call('ZREM', queue, other)
        redis.call('ZREM', leaving, other)
        redis.call('ZADD', inside, now + patience, other)
        redis.call('SADD', called, other)
        allowance = allowance - 1
        is_let_in = is_let_in or other == visitor
    end
end
if redis.call('SREM', called, visitor) == 1 then redis.call('ZADD', inside, now + window, visitor) end
redis.call('HSET', room, 'allowance', allowance, 'at', now)

latest = math.max(latest, math.ceil(redis.call('ZCARD', queue) / most_questions))
local place, wait, again = 0, 0, latest
local rank = redis.call('ZRANK', queue, visitor)
if rank then
    place = rank + 1
    wait = pace > 0 and math.ceil(place / pace) or 0
    again = math.min(math.max(math.ceil(place / math.max(pace, lowest_pace) / 2), soonest), latest)
    if is_open then again = math.min(again, math.max(place / pace, 0.25)) end
    redis.call('ZADD', leaving, now + math.max(patience, 3 * again), visitor)
end
local is_due = now >= read('measure_at', 0)
if is_due then redis.call('HSET', room, 'measure_at', now + lease) end
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, 86400) end
return {is_let_in and 1 or 0, place, wait, math.ceil(again * 1000), is_due and 1 or 0}
"""

# Writes down what was measured. Where all is sold out nobody waits any more.
SET_PACE = """
local queue, leaving, room, useful = KEYS[1], KEYS[2], KEYS[3], ARGV[2]
local time = redis.call('TIME')
redis.call('HSET', room, 'pace', ARGV[1], 'measure_at', time[1] + time[2] / 1000000 + ARGV[3])
if useful == '' then redis.call('HDEL', room, 'useful') else redis.call('HSET', room, 'useful', useful) end
if useful == '0' then redis.call('DEL', queue, leaving) end
"""

# Gives the visitor's turn to one checkout: the first that asks for it.
CLAIM = """
local inside, called, claims = KEYS[1], KEYS[2], KEYS[3]
local time, window_end = redis.call('TIME'), redis.call('ZSCORE', inside, ARGV[1])
if not window_end or tonumber(window_end) <= time[1] + time[2] / 1000000 then return 0 end
redis.call('HSETNX', claims, ARGV[1], ARGV[2])
return redis.call('HGET', claims, ARGV[1]) == ARGV[2] and 1 or 0
"""

USE_UP = """
local inside, called, claims = KEYS[1], KEYS[2], KEYS[3]
if redis.call('HGET', claims, ARGV[1]) ~= ARGV[2] then return end
redis.call('ZREM', inside, ARGV[1])
redis.call('SREM', called, ARGV[1])
redis.call('HDEL', claims, ARGV[1])
"""
