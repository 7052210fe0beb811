package state

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// waitScript is Visit.come in Redis: KEYS[1] the visit, ARGV delay, window and life in milliseconds, and what people are
// shown. It returns whether the visit may pass, how long it must wait, and whether the stored value made no sense.
const waitScript = `
local key, delay, window, life = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local t = redis.call('TIME')
local now, bad = t[1] * 1000 + math.floor(t[2] / 1000), 0
local v = redis.pcall('HMGET', key, 'f', 'n', 'p')
if v.err then
  redis.call('DEL', key)
  v, bad = {false, false, false}, 1
end
local function number(x, top)
  if not x then return nil end
  local f = tonumber(x)
  if f == nil or f ~= f or f < 0 or f > top then bad = 1 return nil end
  return f
end
local f, n, p = number(v[1], now + 60000), number(v[2], 1e9), v[3] == '1'
if not f or not n then
  f, n, p = now, 0, false
  redis.call('DEL', key)
  redis.call('HSET', key, 'd', ARGV[4])
end
n = math.min(n + 1, 1048576)
local left = f + delay - now
if not p and left > 0 then
  redis.call('HSET', key, 'f', f, 'n', n, 'p', '0')
  if redis.call('PTTL', key) < 0 then redis.call('PEXPIRE', key, window) end
  return {0, left, bad}
end
redis.call('HSET', key, 'f', f, 'n', n, 'p', '1')
redis.call('PEXPIRE', key, life)
return {1, 0, bad}`

// visitName is what a visit is called in Redis.
func visitName(key string) string { return visitPrefix + name(key)[len(prefix):] }

const visitPrefix = prefix + "v:"

// Wait takes note of a visit and returns how long it still must wait: not at all if it came back after the delay and
// within the window, to whichever gateway of the site, or did so before.
func (s *Redis) Wait(ctx context.Context, key string, v Visit, t Terms) (left time.Duration) {
	if s.local.passed(key) {
		return s.local.Wait(ctx, key, v, t)
	}
	v = v.fit(key)
	shown, err := json.Marshal(v)
	if err != nil {
		return s.local.Wait(ctx, key, v, t) // cannot be: a Visit is plain data
	}
	var reply []int64
	err = s.ask(ctx, func(ctx context.Context) (err error) {
		reply, err = s.waits.Run(ctx, s.client, []string{visitName(key)}, t.Delay.Milliseconds(), t.Window.Milliseconds(), t.Life.Milliseconds(), shown).Int64Slice()
		return err
	})
	if err == nil && !sane(reply, Rate{Window: t.Delay}) {
		s.bad.Add(1)
		err = errNonsense
	}
	if err != nil {
		return s.local.Wait(ctx, key, v, t)
	}
	if reply[2] != 0 {
		s.bad.Add(1)
	}
	if reply[0] == 1 {
		s.local.letPass(key, v, t.Life) // so that it stays let through without Redis (HOSTILE M-04)
		return 0
	}
	return max(time.Duration(reply[1])*time.Millisecond, time.Millisecond)
}

// Bounds of a listing.
const (
	maxListed = 10_000
	perScan   = 200
)

// Visits lists who waits and who was let through, at all gateways of the site, the newest first.
func (s *Redis) Visits(ctx context.Context) ([]Visit, error) {
	var all []Visit
	err := s.each(ctx, func(_ string, v Visit) { all = append(all, v) })
	return current(all, s.cfg.Now()), err
}

// Pass lets the visit with an id through, for as long as if it had come back now.
func (s *Redis) Pass(ctx context.Context, id string, life time.Duration) (Visit, error) {
	name, found := "", Visit{}
	err := s.each(ctx, func(n string, v Visit) {
		if v.ID == id {
			name, found = n, v
		}
	})
	if err != nil {
		return Visit{}, err
	}
	if name == "" {
		return s.local.Pass(ctx, id, life) // it may have begun while Redis was away
	}
	_, err = s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.HSet(ctx, name, "p", "1")
		p.PExpire(ctx, name, life)
		return nil
	})
	found.Passed, found.Until = true, s.cfg.Now().Add(life)
	return found, err
}

// each gives every visit in Redis with its name there, at most maxListed of them.
func (s *Redis) each(ctx context.Context, f func(name string, v Visit)) error {
	left := maxListed
	scan := func(ctx context.Context, c redis.UniversalClient) error {
		var cursor uint64
		for {
			names, next, err := c.Scan(ctx, cursor, visitPrefix+"*", perScan).Result()
			if err != nil {
				return err
			}
			if err := s.read(ctx, c, names[:min(len(names), left)], f); err != nil {
				return err
			}
			left -= min(len(names), left)
			if cursor = next; cursor == 0 || left == 0 {
				return nil
			}
		}
	}
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
			s.listing.Lock() // masters are visited at once
			defer s.listing.Unlock()
			return scan(ctx, c)
		})
	}
	return scan(ctx, s.client)
}

// read gives the visits with these names. What makes no sense is passed over: others may have written it.
func (s *Redis) read(ctx context.Context, c redis.UniversalClient, names []string, f func(string, Visit)) error {
	type asked struct {
		fields *redis.SliceCmd
		life   *redis.DurationCmd
	}
	list := make([]asked, len(names))
	_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, n := range names {
			list[i] = asked{p.HMGet(ctx, n, "d", "f", "n", "p"), p.PTTL(ctx, n)}
		}
		return nil
	})
	var answer redis.Error
	if err != nil && !errors.As(err, &answer) { // the error of one answer is that answer's
		return err
	}
	for i, a := range list {
		var row struct {
			Shown  string `redis:"d"`
			First  int64  `redis:"f"`
			Tries  int    `redis:"n"`
			Passed bool   `redis:"p"`
		}
		var v Visit
		if a.fields.Scan(&row) != nil || len(row.Shown) > maxBookLine || json.Unmarshal([]byte(row.Shown), &v) != nil || a.life.Val() <= 0 {
			s.bad.Add(1)
			continue
		}
		id := v.ID
		v = v.fit("")
		v.ID, v.First, v.Tries, v.Passed = id, time.UnixMilli(row.First), row.Tries, row.Passed
		v.Until = s.cfg.Now().Add(a.life.Val())
		if len(id) != len(idOf("")) || !isHex(id) {
			s.bad.Add(1)
			continue
		}
		f(names[i], v)
	}
	return nil
}

func isHex(s string) bool {
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
