package state

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"gatepost/filters/traffic"
)

// senderScript is sender.age and sender.add in Redis: KEYS[1] the sender, ARGV the half-life in milliseconds, what to add to wanted,
// unwanted and messages, and whether to write at all. It returns wanted, unwanted, this hour's messages, the usual number, hours and the
// time known in milliseconds, as text, and whether the stored value made no sense (HOSTILE M-06).
const senderScript = `
local key, half = KEYS[1], tonumber(ARGV[1])
local t = redis.call('TIME')
local now, bad = t[1] * 1000 + math.floor(t[2] / 1000), 0
local v = redis.pcall('HMGET', key, 'w', 'u', 'a', 'f', 'h', 'n', 'm', 'k')
if v.err then
  redis.call('DEL', key)
  v, bad = {false, false, false, false, false, false, false, false}, 1
end
local function number(x, top)
  if not x then return nil end
  local f = tonumber(x)
  if f == nil or f ~= f or f < 0 or f > top then bad = 1 return nil end
  return f
end
local this = math.floor(now / 3600000)
local w, u, at, first = number(v[1], 1e4), number(v[2], 1e4), number(v[3], now + 60000), number(v[4], now + 60000)
local hour, n, usual, hours = number(v[5], this + 1), number(v[6], 1e9), number(v[7], 1e9), number(v[8], 1e9)
if not (w and u and at and first and hour and n and usual and hours) then
  w, u, at, first, hour, n, usual, hours = 0, 0, now, now, this, 0, 0, 0
end
if now > at then
  local f = 0.5 ^ ((now - at) / half)
  w, u, at = w * f, u * f, now
end
if this > hour then
  if n > 0 then
    hours = hours + 1
    usual = usual + (n - usual) / math.min(hours, 24)
  end
  n, hour = 0, this
end
if ARGV[5] == '1' then
  w, u, n = w + tonumber(ARGV[2]), u + tonumber(ARGV[3]), math.min(n + tonumber(ARGV[4]), 1048576)
  if w + u > 1000 then
    local f = 1000 / (w + u)
    w, u = w * f, u * f
  end
  redis.call('HSET', key, 'w', w, 'u', u, 'a', at, 'f', first, 'h', hour, 'n', n, 'm', usual, 'k', hours)
  redis.call('PEXPIRE', key, 4 * half)
end
return {tostring(w), tostring(u), tostring(n), tostring(usual), tostring(hours), tostring(math.max(now - first, 0)), tostring(bad)}`

// bandScript notes a sighting: KEYS[1] the band, ARGV the letter, its network and domains, the window in milliseconds, and how many
// are kept. It returns the sightings with their ages, "AGE LETTER NETWORK DOMAIN...", the newest first.
const bandScript = `
local key, letter, rest, window, most = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local list = redis.pcall('LRANGE', key, 0, most - 1)
if list.err then
  redis.call('DEL', key)
  list = {}
end
local out, known = {}, false
for _, text in ipairs(list) do
  local at, said = string.match(text, '^(%d+) (.+)$')
  at = tonumber(at)
  if at and #text < 200 and now - at < window then
    out[#out + 1] = math.max(now - at, 0) .. ' ' .. said
    known = known or string.sub(said, 1, #letter + 1) == letter .. ' '
  end
end
if not known then
  local said = letter .. ' ' .. rest
  redis.call('LPUSH', key, string.format('%.0f', now) .. ' ' .. said)
  redis.call('LTRIM', key, 0, most - 1)
  redis.call('PEXPIRE', key, window)
  table.insert(out, 1, '0 ' .. said)
end
return out`

// Weigh adds w to what is remembered of every sender, at all gateways of the site.
func (s *Redis) Weigh(ctx context.Context, senders []string, w traffic.Weight) error {
	return s.ask(ctx, func(ctx context.Context) error {
		_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, key := range senders {
				weigh(ctx, p, key, w, "1")
			}
			return nil
		})
		return err
	})
}

func weigh(ctx context.Context, p redis.Pipeliner, key string, w traffic.Weight, write string) *redis.Cmd {
	return p.Eval(ctx, senderScript, []string{name(key)}, max(w.HalfLife.Milliseconds(), 1), w.Wanted, w.Unwanted, w.Messages, write)
}

// Ask tells what all gateways of the site remember of senders and of a body, and notes that the body was seen. It is an error if
// Redis does not answer: this process alone knows too little to say anything.
func (s *Redis) Ask(ctx context.Context, q traffic.Question) (traffic.Answer, error) {
	senders, seen := make([]*redis.Cmd, len(q.Senders)), make([]*redis.Cmd, len(q.Bands))
	err := s.ask(ctx, func(ctx context.Context) error {
		_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, key := range q.Senders {
				senders[i] = weigh(ctx, p, key, traffic.Weight{HalfLife: q.HalfLife}, "0")
			}
			letter, rest := written(q.Sighting)
			for i, key := range q.Bands {
				seen[i] = p.Eval(ctx, bandScript, []string{name(key)}, letter, rest, q.Window.Milliseconds(), traffic.MaxSightings)
			}
			return nil
		})
		return err
	})
	if err != nil {
		return traffic.Answer{}, err
	}
	a := traffic.Answer{Senders: make([]traffic.Standing, len(senders)), Bands: make([][]traffic.Sighting, len(seen))}
	for i, c := range senders {
		text, err := c.StringSlice()
		if a.Senders[i], err = readStanding(text, err); err != nil {
			s.bad.Add(1)
			return traffic.Answer{}, err
		}
		if text[6] != "0" {
			s.bad.Add(1)
		}
	}
	now := s.cfg.Now()
	for i, c := range seen {
		list, err := c.StringSlice()
		if err != nil {
			s.bad.Add(1)
			return traffic.Answer{}, errors.Join(errNonsense, err)
		}
		for _, text := range list[:min(len(list), traffic.MaxSightings)] {
			x, ok := readSighting(text, now)
			if !ok {
				s.bad.Add(1)
				continue
			}
			a.Bands[i] = append(a.Bands[i], x)
		}
	}
	return a, nil
}

// written is a sighting as Redis keeps it.
func written(s traffic.Sighting) (letter, rest string) {
	rest = strconv.FormatUint(s.Network, 16)
	for _, d := range s.Domains {
		rest += " " + strconv.FormatUint(d, 16)
	}
	return strconv.FormatUint(s.Letter, 16), rest
}

// readSighting reads what bandScript returns of a sighting.
func readSighting(text string, now time.Time) (s traffic.Sighting, ok bool) {
	words := strings.Split(text, " ")
	if len(words) != 3+traffic.MaxDomains {
		return s, false
	}
	age, err := strconv.ParseUint(words[0], 10, 40)
	if err != nil {
		return s, false
	}
	s.At = now.Add(-time.Duration(age) * time.Millisecond)
	into := []*uint64{&s.Letter, &s.Network}
	for i := range s.Domains {
		into = append(into, &s.Domains[i])
	}
	for i, p := range into {
		if *p, err = strconv.ParseUint(words[1+i], 16, 64); err != nil {
			return s, false
		}
	}
	return s, true
}

// readStanding reads what senderScript returns.
func readStanding(text []string, err error) (traffic.Standing, error) {
	if err != nil || len(text) != 7 {
		return traffic.Standing{}, errors.Join(errNonsense, err)
	}
	var v [6]float64
	for i := range v {
		if v[i], err = strconv.ParseFloat(text[i], 64); err != nil || !(v[i] >= 0 && v[i] <= 1e14) {
			return traffic.Standing{}, fmt.Errorf("%w: %q", errNonsense, clip(text[i]))
		}
	}
	return traffic.Standing{Wanted: v[0], Unwanted: v[1], Hour: int(v[2]), Usual: v[3], Hours: int(v[4]), Known: min(time.Duration(v[5]), 1e12) * time.Millisecond}, nil
}

func clip(s string) string { return s[:min(len(s), 40)] }
