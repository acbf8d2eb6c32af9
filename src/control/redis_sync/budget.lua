-- One exchange of an instance with the store of shared limits, atomically.
--
-- KEYS[1]  what all keys begin with; it holds a hash tag, so that a cluster keeps them together
-- ARGV     instance, sequence number, last sequence number answered, epoch known, validity (ms),
--          instances known (comma-separated), what this is (sync, before, register), whether the server was
--          down for this instance since it last answered (1 or 0),
--          then for each limit: name, amount, window (ms), kept longer (ms), hold, acknowledged, need, want,
--          number of changes, and for each change: when it ages out (ms since 1970), amount
-- Returns  one text: "ok NOW EPOCH VALID_UNTIL INSTANCES/LIVE" (LIVE is one less where not all of those have heard of
--          this one), then for each limit " GRANTED FREE NOT_BEFORE EXPIRED" (EXPIRED is held by those who have
--          not renewed their leases: it counts as spent, and nobody can spend it),
--          or "sync EPOCH" / "register EPOCH": say it again, in this epoch, or with all that you know.
--
-- An *epoch* is a time in which this server is known not to have forgotten anything and no instance to have
-- spent anything on its own. When one begins, nothing is granted until every instance that may know more has
-- spoken, or so much time has passed that what it knows no longer counts.

local base = KEYS[1]
local me, seq, last, epoch = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local validity, known, kind, was_down = tonumber(ARGV[5]), ARGV[6], ARGV[7], ARGV[8] == '1'
local state, members, expected = base .. ':state', base .. ':members', base .. ':expected'
local names, reply = base .. ':limits', base .. ':reply:' .. me

local LIVE_MS = 5000              -- an instance that spoke this lately is there
local GONE_MS = 70000             -- one silent for longer than this while others spoke is not
local KEEP_MS = 40 * 86400000     -- nothing is kept longer than a month and some

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local function text(number) return string.format('%.0f', number) end

-- A question that was answered before is answered the same way.
local before = redis.call('HMGET', reply, 'seq', 'text')
if before[1] and tonumber(before[1]) == seq then return before[2] end
-- One that was overtaken by a later one says what is no longer so, and nobody waits for its answer: what it
-- would be granted, nobody would ever hold.
if before[1] and tonumber(before[1]) > seq then return 'late' end
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
local current = redis.call('HMGET', state, 'epoch', 'run', 'lost', 'born')

-- A server that does not remember its last answer has lost more than that: a replica that took over too soon.
local forgot = kind ~= 'register' and epoch == current[1] and last > 0
  and (not before[1] or tonumber(before[1]) < last)

local known_members = {}
local latest = 0
local list = redis.call('HGETALL', members)
for i = 1, #list, 2 do
  local seen, valid, joined = string.match(list[i + 1], '(%d+) (%d+) (%d+)')
  known_members[list[i]] = { seen = tonumber(seen), valid = tonumber(valid), joined = tonumber(joined) }
  latest = math.max(latest, tonumber(seen))
end
for id, member in pairs(known_members) do
  if member.seen < latest - GONE_MS and id ~= me then
    known_members[id] = nil
    redis.call('HDEL', members, id)
    -- What it held counts as spent as late as it could have been.
    for _, name in ipairs(redis.call('SMEMBERS', names)) do
      local limit, ages = base .. ':l:' .. name, base .. ':a:' .. name
      local kept = redis.call('HMGET', limit, 'o:' .. id, 'w')
      local held, age = tonumber(kept[1] or 0), member.valid + tonumber(kept[2] or 0)
      if held > 0 and age > now then
        redis.call('HINCRBY', limit, 'b:' .. text(age), text(held))
        redis.call('HINCRBY', limit, 't', text(held))
        redis.call('ZADD', ages, text(age), text(age))
      end
      redis.call('HDEL', limit, 'o:' .. id)
    end
  end
end

local function begin(lost)
  redis.call('DEL', expected)
  redis.call('SADD', expected, me)
  for id in string.gmatch(known, '[^,]+') do redis.call('SADD', expected, id) end
  for id in pairs(known_members) do redis.call('SADD', expected, id) end
  redis.call('PEXPIRE', expected, KEEP_MS)
  if lost then
    for _, name in ipairs(redis.call('SMEMBERS', names)) do
      redis.call('DEL', base .. ':l:' .. name, base .. ':a:' .. name)
    end
    redis.call('DEL', names)
  end
  local count = redis.call('HINCRBY', state, 'begun', 1)
  current = { text(now) .. '-' .. me .. '-' .. text(count), run, lost and '1' or '0', text(now) }
  redis.call('HSET', state, 'epoch', current[1], 'run', run, 'lost', current[3], 'born', current[4])
end

if not current[1] or forgot then
  begin(true)
elseif current[2] ~= run or (was_down and epoch == current[1]) then
  -- The same server with all its memory may have been down as well: others may have spent on their own.
  begin(current[3] == '1' and redis.call('SCARD', expected) > 0)
end
redis.call('PEXPIRE', state, KEEP_MS)
local lost = current[3] == '1'
if epoch ~= current[1] then return (lost and 'register ' or 'sync ') .. current[1] end

local mine = known_members[me] or { seen = 0, valid = 0, joined = now }
if kind == 'register' or (kind == 'sync' and not lost) then redis.call('SREM', expected, me) end
local granting = redis.call('SCARD', expected) == 0 or now > tonumber(current[4]) + validity + GONE_MS
local live, unheard = 1, 0
for id, member in pairs(known_members) do
  if id ~= me and member.seen > now - LIVE_MS then
    live = live + 1
    -- Who might have to name this instance one day must have heard of it first.
    if member.seen < mine.joined then granting, unheard = false, 1 end
  end
end

local out = { 'ok', text(now), current[1], text(now + validity), '' }
local at = 9
while ARGV[at] do
  local name, amount, window = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local longer, hold, acknowledged = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
  local need, want, count = tonumber(ARGV[at + 6]), tonumber(ARGV[at + 7]), tonumber(ARGV[at + 8])
  at = at + 9
  local limit, ages = base .. ':l:' .. name, base .. ':a:' .. name
  redis.call('SADD', names, name)

  local total = tonumber(redis.call('HGET', limit, 't') or 0)
  for _, aged in ipairs(redis.call('ZRANGEBYSCORE', ages, '-inf', now)) do
    total = total - tonumber(redis.call('HGET', limit, 'b:' .. aged) or 0)
    redis.call('HDEL', limit, 'b:' .. aged)
  end
  redis.call('ZREMRANGEBYSCORE', ages, '-inf', now)
  for _ = 1, count do
    local age, change = ARGV[at], tonumber(ARGV[at + 1])
    at = at + 2
    if tonumber(age) > now then
      local counted = tonumber(redis.call('HGET', limit, 'b:' .. age) or 0)
      change = math.max(change, -counted)
      redis.call('HSET', limit, 'b:' .. age, text(counted + change))
      redis.call('ZADD', ages, age, age)
      total = total + change
    end
  end

  -- A lease not renewed for so long that all it could have been spent on has aged out was granted again; that of
  -- one that was taken for gone, too.
  local lapsed = kind ~= 'register' and mine.valid + window + longer < now and (mine.valid > 0 or last > 0)
  local granted_before = tonumber(redis.call('HGET', limit, 'g:' .. me) or acknowledged)
  if kind == 'register' or granted_before < acknowledged then granted_before = acknowledged end
  local held = lapsed and 0 or hold + granted_before - acknowledged
  local all, expired = held, 0
  for id, member in pairs(known_members) do
    if id ~= me then
      if member.valid + window + longer < now then
        redis.call('HDEL', limit, 'o:' .. id)
      else
        local theirs = tonumber(redis.call('HGET', limit, 'o:' .. id) or 0)
        all = all + theirs
        if member.valid < now then expired = expired + theirs end
      end
    end
  end

  local free, granted, not_before = amount - total - all, 0, 0
  local function share(left) return math.max(math.floor(left / (2 * live)), math.min(left, 1), 0) end
  if granting and not lapsed then
    if need > 0 then
      if free >= need then
        granted = need + math.max(0, math.min(want - need, share(free - need)))
      else
        local freed = free
        for _, age in ipairs(redis.call('ZRANGE', ages, 0, -1)) do
          freed = freed + tonumber(redis.call('HGET', limit, 'b:' .. age) or 0)
          if freed >= need then not_before = tonumber(age) break end
        end
      end
    elseif want > 0 then
      granted = math.max(0, math.min(want, share(free)))
    end
  end
  redis.call('HSET', limit, 't', text(total), 'o:' .. me, text(held + granted), 'g:' .. me, text(granted_before + granted),
    'w', text(window + longer))
  local keep = math.min(2 * window + 3600000, KEEP_MS)
  redis.call('PEXPIRE', limit, keep)
  redis.call('PEXPIRE', ages, keep)
  out[#out + 1] = (lapsed and '-1' or text(granted)) .. ' ' .. text(math.max(free - granted, 0)) .. ' ' .. text(not_before)
    .. ' ' .. text(expired)
end
redis.call('PEXPIRE', names, KEEP_MS)

local there = { me }
for id in pairs(known_members) do
  if id ~= me then there[#there + 1] = id end
end
out[5] = table.concat(there, ',') .. '/' .. (live - unheard)
redis.call('HSET', members, me, text(now) .. ' ' .. text(now + validity) .. ' ' .. text(mine.joined))
redis.call('PEXPIRE', members, KEEP_MS)
local answer = table.concat(out, ' ')
redis.call('HSET', reply, 'seq', text(seq), 'text', answer)
redis.call('PEXPIRE', reply, KEEP_MS)
return answer
