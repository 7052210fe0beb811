package state

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// A counter is what both kinds promise.
type counter interface {
	Take(ctx context.Context, key string, n int, r Rate) (ok bool, wait time.Duration)
	Remember(ctx context.Context, key string, life time.Duration)
	Known(ctx context.Context, key string) bool
	Wait(ctx context.Context, key string, v Visit, t Terms) (left time.Duration)
	Visits(ctx context.Context) ([]Visit, error)
	Pass(ctx context.Context, id string, life time.Duration) (Visit, error)
}

// A server is a real Redis.
type server struct {
	addr string
	cmd  *exec.Cmd
}

// startRedis starts redis-server on addr, or on a free port.
func startRedis(t *testing.T, addr string) *server {
	t.Helper()
	if addr == "" {
		addr = freeAddress(t)
	}
	_, port, _ := net.SplitHostPort(addr)
	return runRedis(t, addr, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
}

// freeAddress is one of this machine's on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// runRedis starts redis-server, which is to listen on addr, and waits until it does.
func runRedis(t *testing.T, addr string, args ...string) *server {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("redis-server is not installed")
		}
		t.Skip("redis-server is not installed")
	}
	var out bytes.Buffer
	cmd := exec.Command(path, append(args, "--dir", t.TempDir())...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &server{addr, cmd}
	t.Cleanup(s.kill)
	eventually(t, "redis answers", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return s
}

func (s *server) kill() {
	s.cmd.Process.Signal(syscall.SIGKILL)
	s.cmd.Wait()
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for i := 0; i < 2000; i++ {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("never came true: %s", what)
}

// unhurried is a deadline that a busy machine keeps.
const unhurried = 5 * time.Second

// connect makes one gateway's Redis, which is not in a hurry, and waits until it answers.
func connect(t *testing.T, s *server) *Redis {
	t.Helper()
	return connectWithin(t, s, unhurried)
}

func connectWithin(t *testing.T, s *server, deadline time.Duration) *Redis {
	t.Helper()
	r, err := NewRedis(RedisConfig{URL: "redis://" + s.addr, Gateways: 2, Keys: 1000, Now: time.Now, Deadline: deadline})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	eventually(t, "redis is reached", func() bool { return r.client.Ping(context.Background()).Err() == nil })
	return r
}

// each runs a test against both kinds; pass makes time go by.
func each(t *testing.T, test func(t *testing.T, c counter, pass func(time.Duration))) {
	t.Run("local", func(t *testing.T) {
		now := time.Unix(1e9, 0)
		test(t, NewLocal(1000, func() time.Time { return now }), func(d time.Duration) { now = now.Add(d) })
	})
	t.Run("redis", func(t *testing.T) { test(t, connect(t, startRedis(t, "")), time.Sleep) })
}

func TestExactlyTheRateIsAllowed(t *testing.T) { // C-20, M-08: the keys are hostile on purpose
	each(t, func(t *testing.T, c counter, _ func(time.Duration)) {
		for _, key := range []string{"a", "' ; * : { }\r\n", "KEYS[1]", ""} {
			for i, want := range []bool{true, true, true, false, false} {
				if ok, _ := c.Take(t.Context(), key, 1, Rate{3, time.Minute}); ok != want {
					t.Errorf("%q: event %d of at most 3: allowed %v", key, i+1, ok)
				}
			}
		}
	})
}

func TestManyAtOnceAreAllowedWholeOrNotAtAll(t *testing.T) {
	each(t, func(t *testing.T, c counter, _ func(time.Duration)) {
		r := Rate{1 << 40, time.Hour}
		for i, step := range []struct {
			n  int
			ok bool
		}{{1<<40 - 5, true}, {6, false}, {5, true}, {2, false}} {
			if ok, wait := c.Take(t.Context(), "bytes", step.n, r); ok != step.ok || wait < 0 || wait > r.Window {
				t.Errorf("step %d: %v, wait %v", i, ok, wait)
			}
		}
	})
}

func TestAWindowSlidesAway(t *testing.T) {
	each(t, func(t *testing.T, c counter, pass func(time.Duration)) {
		r := Rate{2, 500 * time.Millisecond}
		c.Take(t.Context(), "k", 2, r)
		pass(2 * r.Window)
		if ok, _ := c.Take(t.Context(), "k", 2, r); !ok {
			t.Error("still refused after two windows")
		}
	})
}

func TestAMarkIsKnownUntilItEnds(t *testing.T) {
	each(t, func(t *testing.T, c counter, pass func(time.Duration)) {
		c.Remember(t.Context(), "long", time.Hour)
		c.Remember(t.Context(), "short", 20*time.Millisecond)
		pass(time.Second)
		if !c.Known(t.Context(), "long") || c.Known(t.Context(), "short") || c.Known(t.Context(), "never") {
			t.Error("wrong marks are known")
		}
	})
}

func TestTwoGatewaysShareCountsAndMarks(t *testing.T) {
	s := startRedis(t, "")
	a, b := connect(t, s), connect(t, s)
	allowed := 0
	for i := range 10 {
		if ok, _ := []*Redis{a, b}[i%2].Take(t.Context(), "k", 1, Rate{5, time.Minute}); ok {
			allowed++
		}
	}
	if allowed != 5 && a.Stats().Failures+b.Stats().Failures == 0 {
		t.Errorf("%d allowed, want 5", allowed)
	}
	a.Remember(t.Context(), "m", time.Hour)
	eventually(t, "b knows what a marked", func() bool { return b.Known(t.Context(), "m") })
}

func TestEveryKeyIsHashedAndEnds(t *testing.T) { // C-20, M-08
	r := connect(t, startRedis(t, ""))
	r.Take(t.Context(), "attacker", 1, Rate{5, time.Minute})
	r.Remember(t.Context(), "mark", time.Hour)
	keys, err := r.client.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) != 2 {
		t.Fatal(keys, err)
	}
	for _, k := range keys {
		if ttl := r.client.PTTL(t.Context(), k).Val(); ttl <= 0 || len(k) != 3+64 {
			t.Errorf("key %q lives %v", k, ttl)
		}
	}
}

func TestNonsenseInRedisIsTakenAsAbsent(t *testing.T) { // M-06
	r := connect(t, startRedis(t, ""))
	ctx := t.Context()
	for i, plant := range []func(k string){
		func(k string) { r.client.Set(ctx, k, "text", 0) },
		func(k string) { r.client.RPush(ctx, k, "list") },
		func(k string) { r.client.HSet(ctx, k, "s", 1, "n", "many", "p", 0) },
		func(k string) { r.client.HSet(ctx, k, "s", time.Now().UnixMilli(), "n", "1000000000000000000", "p", 0) },
		func(k string) { r.client.HSet(ctx, k, "s", time.Now().UnixMilli(), "n", -5, "p", 0) },
		func(k string) { r.client.HSet(ctx, k, "s", "nan", "n", "nan", "p", "inf") },
		func(k string) { r.client.HSet(ctx, k, "s", time.Now().Add(time.Hour).UnixMilli(), "n", 9, "p", 9) },
	} {
		key := fmt.Sprint(i)
		plant(name(key))
		bad := r.Stats().Bad
		if ok, _ := r.Take(ctx, key, 3, Rate{3, time.Minute}); !ok {
			t.Errorf("case %d: refused", i)
		}
		if ok, _ := r.Take(ctx, key, 1, Rate{3, time.Minute}); ok {
			t.Errorf("case %d: not counted", i)
		}
		if r.Stats().Bad == bad {
			t.Errorf("case %d: not noticed", i)
		}
	}
}

func TestWithoutRedisEachGatewayAllowsItsPart(t *testing.T) { // M-01, M-07
	r, err := NewRedis(RedisConfig{URL: "redis://127.0.0.1:1", Gateways: 2, Keys: 100, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for i, want := range []bool{true, true, true, false} {
		if ok, _ := r.Take(t.Context(), "k", 1, Rate{6, time.Minute}); ok != want {
			t.Errorf("event %d: allowed %v", i+1, ok)
		}
	}
	r.Take(t.Context(), "k", 1, Rate{6, time.Minute})
	if s := r.Stats(); !r.Away() || s.Failures < maxFailures || s.Local < 5 {
		t.Errorf("away %v, %+v", r.Away(), s)
	}
}

func TestAStalledOrRefusingRedisIsGivenUpAndTakenBack(t *testing.T) { // M-02, M-05
	s := startRedis(t, "")
	for _, c := range []struct {
		what       string
		harm, mend func(r *Redis)
	}{
		{"stalled", func(*Redis) { s.cmd.Process.Signal(syscall.SIGSTOP) }, func(*Redis) { s.cmd.Process.Signal(syscall.SIGCONT) }},
		{"out of memory", func(r *Redis) { r.client.ConfigSet(t.Context(), "maxmemory", "1") }, func(r *Redis) { r.client.ConfigSet(t.Context(), "maxmemory", "0") }},
		{"read-only", func(r *Redis) { r.client.Do(t.Context(), "REPLICAOF", "127.0.0.1", "1") }, func(r *Redis) { r.client.Do(t.Context(), "REPLICAOF", "NO", "ONE") }},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := connectWithin(t, s, 0)
			c.harm(r)
			for i := range maxFailures {
				r.Take(t.Context(), fmt.Sprint(i), 1, Rate{6, time.Minute})
			}
			if !r.Away() {
				t.Error("not given up")
			}
			calls := r.Stats().Calls
			for range 100 { // fast: nobody is asked
				r.Take(t.Context(), "many", 1, Rate{1000, time.Minute})
			}
			if r.Stats().Calls-calls > 10 {
				t.Error("asked although given up")
			}
			c.mend(r)
			eventually(t, "redis is taken back", func() bool {
				r.Take(t.Context(), "probe", 1, Rate{1e6, time.Minute})
				return !r.Away()
			})
		})
	}
}

func TestAMarkOutlivesARedisThatForgets(t *testing.T) { // M-03, M-04
	r := connect(t, startRedis(t, ""))
	r.Remember(t.Context(), "ban", time.Hour)
	r.client.FlushAll(t.Context())
	if !r.Known(t.Context(), "ban") {
		t.Error("forgotten")
	}
}

func TestABreakerLetsOneCallerProbe(t *testing.T) {
	b, now := &breaker{}, time.Unix(1e9, 0)
	for range maxFailures {
		b.admit(now)
		b.done(now, false)
	}
	later := now.Add(2 * pause)
	if b.admit(now) || !b.admit(later) || b.admit(later) {
		t.Error("not exactly one probe, or too early")
	}
	if !b.done(later, true) || !b.admit(later) || !b.admit(later) {
		t.Error("not closed by success")
	}
}

func TestAClockSetBackForgetsNothing(t *testing.T) {
	now := time.Unix(1e9, 0)
	l := NewLocal(10, func() time.Time { return now })
	l.Take(t.Context(), "k", 3, Rate{3, time.Minute})
	now = now.Add(-time.Hour)
	if ok, _ := l.Take(t.Context(), "k", 1, Rate{3, time.Minute}); ok {
		t.Error("forgotten")
	}
}

func TestAPasswordIsNotRepeated(t *testing.T) {
	if _, err := NewRedis(RedisConfig{URL: "redis://:secret@host:port:x", Keys: 1, Now: time.Now}); err == nil || bytes.Contains([]byte(err.Error()), []byte("secret")) {
		t.Error(err)
	}
}

func BenchmarkLocalTake(b *testing.B) {
	l := NewLocal(1<<20, time.Now)
	keys := make([]string, 1024)
	for i := range keys {
		keys[i] = name(fmt.Sprint(i))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		l.Take(context.Background(), keys[i%1024], 1, Rate{1 << 40, time.Minute})
	}
}

func TestStrangersCannotMakeTheMemoryGrow(t *testing.T) { // I-08
	const most = 1000
	l := NewLocal(most, time.Now)
	ctx := t.Context()
	for i := range 50 * most {
		key := fmt.Sprint(i)
		l.Take(ctx, key, 1, Rate{5, time.Minute})
		l.Remember(ctx, key, time.Hour)
		l.Wait(ctx, key, visitor, Terms{Delay: time.Minute, Window: time.Hour, Life: time.Hour})
	}
	if l.keys.Len() > most || l.marks.Len() > most || l.visits.Len() > most {
		t.Errorf("%d counters, %d marks, %d visits", l.keys.Len(), l.marks.Len(), l.visits.Len())
	}
	if !l.Known(ctx, fmt.Sprint(50*most-1)) {
		t.Error("the newest is forgotten")
	}
}
