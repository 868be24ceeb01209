"""What has to happen in Redis at one moment, in Lua. Times are Redis's own, in milliseconds.

Every key gets an expiry wherever it is written. The lease is `<fencing number>:<member>`: whoever writes values
shows the one that it holds, so that a leader which was frozen meanwhile writes nothing.
"""

from typing import Final

_NOW: Final = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
"""

_COUNT: Final = """
local function count(key)
  local number = redis.call('INCR', key)
  if number < 1 or number > 99999999999999 then error('not an integer that counts up: ' .. key) end
  return number
end
"""
"""Lua writes 14 digits; more, and less than none, is another program's."""

BEAT: Final = (
    _NOW
    + _COUNT
    + """
-- KEYS: lease fence members. ARGV: member, lease ms, absent ms, whether the rank is wanted
local absent = tonumber(ARGV[3])
redis.call('ZADD', KEYS[3], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - absent)
redis.call('ZREMRANGEBYSCORE', KEYS[3], now + absent, '+inf')
redis.call('PEXPIRE', KEYS[3], absent)
local lease = redis.call('GET', KEYS[1])
local fence, holder
if lease and redis.call('PTTL', KEYS[1]) >= 0 then fence, holder = string.match(lease, '^(%d+):(.+)$') end
local taken = 0
if not holder then
  taken = 1
  fence, holder = tostring(count(KEYS[2])), ARGV[1]
  lease = fence .. ':' .. holder
end
if holder == ARGV[1] then
  redis.call('SET', KEYS[1], lease, 'PX', ARGV[2])
  redis.call('PEXPIRE', KEYS[2], 604800000)
end
local rank = -1
if ARGV[4] == '1' then
  rank = 0
  for _, other in ipairs(redis.call('ZRANGE', KEYS[3], 0, 9999)) do
    if other < ARGV[1] then rank = rank + 1 end
  end
end
return {t[1], t[2], lease, redis.call('ZCARD', KEYS[3]), rank, taken}
"""
)
"""Show a sign of life, renew the lease or take it where it is free.

Returns Redis's time, the lease in force, the number of members, this one's place among their names, and whether
the lease was free.
"""

RESIGN: Final = """
-- KEYS: lease members. ARGV: member, lease
redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('GET', KEYS[1]) == ARGV[2] then return redis.call('DEL', KEYS[1]) end
return 0
"""
"""Leave, and let another one lead at once."""

TELL: Final = (
    _NOW
    + _COUNT
    + """
-- KEYS: lease values deadlines changes sequence. ARGV: lease, expiry ms, most values, most changes, then pairs of
-- a mint ('' for what is only told) and a record
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local expiry, most = tonumber(ARGV[2]), tonumber(ARGV[3])
for i = 5, #ARGV, 2 do
  if ARGV[i] ~= '' then
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
    redis.call('ZADD', KEYS[3], now + expiry, ARGV[i])
  end
  local number = count(KEYS[5])
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[4], '*', 'n', number, 'r', ARGV[i + 1])
end
local gone = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, 500)
local excess = redis.call('ZCARD', KEYS[3]) - #gone - most
if excess > 0 then gone = redis.call('ZRANGE', KEYS[3], 0, math.min(#gone + excess, 500) - 1) end
if #gone > 0 then
  redis.call('HDEL', KEYS[2], unpack(gone))
  redis.call('ZREM', KEYS[3], unpack(gone))
end
for i = 2, 5 do redis.call('PEXPIRE', KEYS[i], expiry) end
return 1
"""
)
"""Write values and tell of them, if the lease is the one in force; returns whether it was."""

PAGE: Final = """
-- KEYS: a hash. ARGV: cursor, most bytes of a field or value
local page = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', 100)
local kept, left_out = {page[1], 0}, 0
for i = 1, #page[2], 2 do
  if #page[2][i] > 64 or #page[2][i + 1] > tonumber(ARGV[2]) then
    left_out = left_out + 1
  else
    kept[#kept + 1] = page[2][i]
    kept[#kept + 1] = page[2][i + 1]
  end
end
kept[2] = left_out
return kept
"""
"""Read a part of a hash: the next cursor, how many fields were too long, then fields and values."""

HEAD: Final = """
-- KEYS: changes sequence wanted
local function last(key)
  local entries = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)
  return entries[1] and entries[1][1] or '0-0'
end
return {last(KEYS[1]), redis.call('GET', KEYS[2]) or '0', last(KEYS[3])}
"""
"""Return where the streams end: the last entry of the changes, its number, the last entry of what is wanted."""

WANT: Final = """
-- KEYS: wanted demand. ARGV: record ('': only count), most entries, expiry ms, most fields, then mints and counts
if ARGV[1] ~= '' then
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'r', ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
if #ARGV > 4 then
  if redis.call('TYPE', KEYS[2]).ok ~= 'hash' then redis.call('DEL', KEYS[2]) end
  local free = tonumber(ARGV[4]) - redis.call('HLEN', KEYS[2])
  for i = 5, #ARGV, 2 do
    if redis.call('HEXISTS', KEYS[2], ARGV[i]) == 1 then
      local summed = redis.pcall('HINCRBY', KEYS[2], ARGV[i], ARGV[i + 1])
      if type(summed) == 'table' then redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
    elseif free > 0 then
      redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
      free = free - 1
    end
  end
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
end
return 1
"""
"""Tell the leader what is wanted, and add requests to the sums of a slice of time."""

REGISTER: Final = """
-- KEYS: popular lists. ARGV: member, digest, list ('' where Redis may know it), expiry ms
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
if ARGV[3] ~= '' then redis.call('HSET', KEYS[2], ARGV[2], ARGV[3]) end
if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('PEXPIRE', KEYS[2], ARGV[4]) end
return redis.call('HEXISTS', KEYS[2], ARGV[2])
"""
"""Say which popular list a member has; returns whether Redis knows that list."""

LISTS: Final = """
-- KEYS: popular lists members. ARGV: most lists, most bytes of one
local seen, found, left_out = {}, {}, 0
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if not redis.call('ZSCORE', KEYS[3], all[i]) then
    redis.call('HDEL', KEYS[1], all[i])
  else
    seen[all[i + 1]] = true
  end
end
for _, digest in ipairs(redis.call('HKEYS', KEYS[2])) do
  if not seen[digest] then
    redis.call('HDEL', KEYS[2], digest)
  elseif redis.call('HSTRLEN', KEYS[2], digest) <= tonumber(ARGV[2]) and #found < tonumber(ARGV[1]) then
    found[#found + 1] = redis.call('HGET', KEYS[2], digest)
  end
end
return found
"""
"""Return the popular lists of the members, each once, and forget those of members that are gone."""

REPAIR: Final = """
-- KEYS: the lease, then others, of one type each. ARGV: the types; a number is a string of some digits
local removed = 0
for i, key in ipairs(KEYS) do
  local found = redis.call('TYPE', key).ok
  local wrong = found ~= 'none' and found ~= ARGV[i]
  if found == 'string' and ARGV[i] == 'number' then
    local text = redis.call('GET', key)
    wrong = #text > 14 or not string.match(text, '^%d+$')
  end
  if wrong then removed = removed + redis.call('DEL', key) end
end
if removed > 0 then redis.call('DEL', KEYS[1]) end
return removed
"""
"""Remove keys that another program wrote, and the lease: a new leader fills what is missing. Returns how many."""
