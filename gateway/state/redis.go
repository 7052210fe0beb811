package state

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/redis/go-redis/v9"

	"gatepost/gateway/failpoint"
)

// defaultDeadline is the longest that anybody waits for Redis (HOSTILE M-02).
const defaultDeadline = 50 * time.Millisecond

// A RedisConfig says which Redis is shared, and by how many.
type RedisConfig struct {
	URL      string           // as CheckURL takes it
	Local    *Local           // what this process knows by itself; nil: a new one
	Gateways int              // that share it; each allows this part of every rate while Redis is away
	Keys     int              // most keys that are kept in this process
	Changed  func(away bool)  // told when Redis goes away or comes back; may be nil
	Now      func() time.Time // this process's clock; windows run by Redis's own
	Deadline time.Duration    // the longest that anybody waits for Redis; 0: 50 ms
}

// Stats are what a Redis counted since it was made.
type Stats struct {
	Calls    uint64 // asked of Redis
	Failures uint64 // not answered in time, or with an error
	Local    uint64 // decided by this process alone
	Spared   uint64 // refused from memory of a refusal a moment ago
	Bad      uint64 // answers or contents that make no sense, taken as absent
}

// A Redis counts for all gateways of a site. While Redis is away, it counts for this one, with its part of the rates:
// nothing fails, and nobody waits longer than the deadline (HOSTILE M-01, M-02, M-07).
type Redis struct {
	cfg    RedisConfig
	client redis.UniversalClient
	local  *Local
	denied *lru.Cache[string, time.Time] // keys that Redis refused, until when it need not be asked
	takes  *redis.Script
	waits  *redis.Script
	br     breaker

	listing sync.Mutex

	calls, failures, alone, spared, bad atomic.Uint64
}

// NewRedis makes a Redis. It does not connect: a gateway starts whether Redis is there or not.
func NewRedis(c RedisConfig) (*Redis, error) {
	o, err := parseURL(c.URL)
	if err != nil {
		return nil, fmt.Errorf("read state URL: %w", err)
	}
	if c.Deadline <= 0 {
		c.Deadline = defaultDeadline
	}
	bound(o, c.Deadline)
	redis.SetLogger(silence{})
	denied, err := lru.New[string, time.Time](c.Keys)
	if err != nil {
		return nil, fmt.Errorf("make memory of refusals: %w", err)
	}
	c.Gateways = max(c.Gateways, 1)
	if c.Local == nil {
		c.Local = NewLocal(c.Keys, c.Now)
	}
	return &Redis{cfg: c, client: redis.NewUniversalClient(o), local: c.Local, denied: denied, takes: redis.NewScript(takeScript), waits: redis.NewScript(waitScript)}, nil
}

// silence takes what the client would write to standard error; failures are counted and told through Changed.
type silence struct{}

// Printf implements the client's logger.
func (silence) Printf(context.Context, string, ...any) {}

// Close gives the connections back.
func (s *Redis) Close() error { return s.client.Close() }

// Away reports whether Redis is given up for now.
func (s *Redis) Away() bool { return s.br.open() }

// Probe asks Redis for a sign of life, past what is believed of it.
func (s *Redis) Probe(ctx context.Context) error {
	if err := s.client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("ask shared state: %w", err)
	}
	return nil
}

// Stats reads the counters.
func (s *Redis) Stats() Stats {
	return Stats{s.calls.Load(), s.failures.Load(), s.alone.Load(), s.spared.Load(), s.bad.Load()}
}

// takeScript is Local.Take in Redis: KEYS[1] the counter, ARGV the events, the rate's count and its window in
// milliseconds. It returns whether they were counted, how long to wait, and whether the stored value made no sense.
// A stored number beyond 1e15 was not written by us (HOSTILE M-06). The clock is Redis's, the only one that all agree on.
const takeScript = `
local key, n, most, window = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local t = redis.call('TIME')
local now, bad = t[1] * 1000 + math.floor(t[2] / 1000), 0
local v = redis.pcall('HMGET', key, 's', 'n', 'p')
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
local s, c, p = number(v[1], now + window), number(v[2], 1e15), number(v[3], 1e15)
if not s or not c or not p or now - s >= 2 * window then
  s, c, p = now, 0, 0
elseif now - s >= window then
  s, c, p = s + window, 0, c
end
if s > now then s = now end
local left = window - (now - s)
if c + math.floor(p * left / window) + n > most then return {0, left, bad} end
redis.call('HSET', key, 's', s, 'n', c + n, 'p', p)
redis.call('PEXPIRE', key, 2 * window)
return {1, 0, bad}`

// prefix begins every name of ours in Redis.
const prefix = "gp:"

// name is what a key is called in Redis: nothing that a stranger wrote is part of it (HOSTILE C-20, M-08).
func name(key string) string {
	sum := sha256.Sum256([]byte(key))
	return prefix + hex.EncodeToString(sum[:])
}

// Take counts n events for key if the rate allows them; if not, it counts nothing and says how long to wait at most.
func (s *Redis) Take(ctx context.Context, key string, n int, r Rate) (ok bool, wait time.Duration) {
	now := s.cfg.Now()
	if until, found := s.denied.Get(key); found && n == 1 && now.Before(until) {
		s.spared.Add(1)
		return false, until.Sub(now)
	}
	var reply []int64
	err := s.ask(ctx, func(ctx context.Context) (err error) {
		reply, err = s.takes.Run(ctx, s.client, []string{name(key)}, n, r.Count, r.Window.Milliseconds()).Int64Slice()
		return err
	})
	if err == nil && !sane(reply, r) {
		s.bad.Add(1)
		err = errNonsense
	}
	if err != nil {
		return s.local.Take(ctx, key, n, Rate{Count: max(r.Count/s.cfg.Gateways, 1), Window: r.Window})
	}
	if reply[2] != 0 {
		s.bad.Add(1)
	}
	wait = time.Duration(reply[1]) * time.Millisecond
	if reply[0] == 0 && n == 1 {
		s.denied.Add(key, now.Add(min(wait, r.Window/60, time.Second)))
	}
	return reply[0] == 1, wait
}

// sane reports whether a reply is one that the script can give.
func sane(v []int64, r Rate) bool {
	return len(v) == 3 && (v[0] == 0 || v[0] == 1) && v[1] >= 0 && v[1] <= r.Window.Milliseconds()
}

// Errors of an exchange.
var (
	errAway     = errors.New("redis is away")
	errNonsense = errors.New("redis answered nonsense")
)

// ask does one exchange within the deadline, unless Redis is given up for now.
func (s *Redis) ask(ctx context.Context, exchange func(context.Context) error) error {
	if !s.br.admit(s.cfg.Now()) {
		s.alone.Add(1)
		return errAway
	}
	s.calls.Add(1)
	// A client that hangs up says nothing about Redis.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Deadline)
	defer cancel()
	err := failpoint.Hit(failpoint.SharedState)
	if err == nil {
		err = exchange(ctx)
	}
	if err != nil {
		s.failures.Add(1)
		s.alone.Add(1)
	}
	if s.br.done(s.cfg.Now(), err == nil) && s.cfg.Changed != nil {
		s.cfg.Changed(err != nil)
	}
	return err
}

// Remember marks key until life has passed, here and in Redis: a mark outlives a Redis that forgets (HOSTILE M-04), and
// no gateway makes it end earlier than it knows itself (M-03).
func (s *Redis) Remember(ctx context.Context, key string, life time.Duration) {
	end, news := s.local.remember(key, life)
	if !news {
		return
	}
	// Without Redis the mark is this gateway's own; that is what it is kept here for.
	_ = s.ask(ctx, func(ctx context.Context) error {
		return s.client.Set(ctx, name(key), 1, end.Sub(s.cfg.Now())).Err()
	})
}

// echo is how long a mark that another gateway made is believed without asking again.
const echo = time.Minute

// Known reports whether key is marked now.
func (s *Redis) Known(ctx context.Context, key string) bool {
	if s.local.Known(ctx, key) {
		return true
	}
	var n int64
	err := s.ask(ctx, func(ctx context.Context) (err error) {
		n, err = s.client.Exists(ctx, name(key)).Result()
		return err
	})
	if err != nil || n != 1 {
		return false
	}
	s.local.Remember(ctx, key, echo)
	return true
}
