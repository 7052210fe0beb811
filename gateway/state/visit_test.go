package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var visitor = Visit{Who: "192.0.2.0/24", From: "a@sender.example", Rcpt: "b@example.com"}

func TestAVisitorPassesWhenItComesBackInTime(t *testing.T) {
	each(t, func(t *testing.T, c counter, pass func(time.Duration)) {
		terms := Terms{Delay: 500 * time.Millisecond, Window: 2 * time.Second, Life: time.Minute}
		ctx := t.Context()
		if left := c.Wait(ctx, "k", visitor, terms); left <= 0 || left > terms.Delay {
			t.Fatalf("first visit: %v left", left)
		}
		if left := c.Wait(ctx, "k", visitor, terms); left <= 0 || left > terms.Delay {
			t.Fatalf("at once again: %v left", left)
		}
		c.Wait(ctx, "late", visitor, terms)
		pass(terms.Delay)
		for i := range 2 {
			if left := c.Wait(ctx, "k", visitor, terms); left != 0 {
				t.Errorf("visit %d in time: %v left", i, left)
			}
		}
		if c.Wait(ctx, "other", visitor, terms) == 0 {
			t.Error("another visitor passed with it")
		}
		pass(terms.Window)
		if c.Wait(ctx, "k", visitor, terms) != 0 {
			t.Error("not remembered")
		}
		if c.Wait(ctx, "late", visitor, terms) == 0 {
			t.Error("passed after the window")
		}
	})
}

func TestVisitorsAreListedAndCanBeLetThrough(t *testing.T) {
	each(t, func(t *testing.T, c counter, _ func(time.Duration)) {
		terms := Terms{Delay: time.Hour, Window: 2 * time.Hour, Life: 3 * time.Hour}
		hostile := Visit{Who: "x\r\n\x1b[2J" + strings.Repeat("w", 1000), From: "';*{}", Rcpt: "\u202eb"}
		c.Wait(t.Context(), "a", visitor, terms)
		c.Wait(t.Context(), "a", visitor, terms)
		c.Wait(t.Context(), "b", hostile, terms)
		list, err := c.Visits(t.Context())
		if err != nil || len(list) != 2 {
			t.Fatal(list, err)
		}
		for _, v := range list {
			if v.ID == "" || v.Passed || v.First.IsZero() || !v.Until.After(v.First) || len(v.Who) > longestText || strings.ContainsAny(v.Who+v.Rcpt, "\r\n\x1b\u202e") {
				t.Errorf("listed %+v", v)
			}
		}
		id := idOf("a")
		v, err := c.Pass(t.Context(), id, terms.Life)
		if err != nil || v.From != visitor.From || v.Tries != 2 {
			t.Fatal(v, err)
		}
		if left := c.Wait(t.Context(), "a", visitor, terms); left != 0 {
			t.Errorf("let through, and %v left", left)
		}
		if _, err := c.Pass(t.Context(), "0123456789abcdef", terms.Life); !errors.Is(err, ErrNoVisit) {
			t.Error(err)
		}
	})
}

func TestAVisitorMayComeBackToAnotherGateway(t *testing.T) {
	s := startRedis(t, "")
	a, b := connect(t, s), connect(t, s)
	terms := Terms{Delay: 100 * time.Millisecond, Window: time.Minute, Life: time.Minute}
	a.Wait(t.Context(), "k", visitor, terms)
	time.Sleep(2 * terms.Delay)
	eventually(t, "b lets through what a asked to wait", func() bool { return b.Wait(t.Context(), "k", visitor, terms) == 0 })
	b.client.FlushAll(t.Context())
	if b.Wait(t.Context(), "k", visitor, terms) != 0 { // M-04
		t.Error("a Redis that forgets makes it wait again")
	}
}

func TestNonsenseAboutVisitsIsTakenAsAbsent(t *testing.T) { // M-06
	r := connect(t, startRedis(t, ""))
	ctx, terms := t.Context(), Terms{Delay: time.Minute, Window: time.Hour, Life: time.Hour}
	for i, plant := range []func(k string){
		func(k string) { r.client.Set(ctx, k, "text", 0) },
		func(k string) { r.client.HSet(ctx, k, "f", "x", "n", 1, "p", 0) },
		func(k string) { r.client.HSet(ctx, k, "f", -1, "n", 1, "p", 1) },
		func(k string) { r.client.HSet(ctx, k, "f", 1, "n", "1000000000000000000", "p", 1, "d", "{") },
		func(k string) { r.client.HSet(ctx, k, "f", time.Now().Add(time.Hour).UnixMilli(), "n", 1, "p", 1) },
	} {
		key := fmt.Sprint(i)
		plant(visitName(key))
		if _, err := r.Visits(ctx); err != nil {
			t.Errorf("case %d: list: %v", i, err)
		}
		bad := r.Stats().Bad
		if r.Wait(ctx, key, visitor, terms) == 0 {
			t.Errorf("case %d: passed", i)
		}
		if r.Stats().Bad == bad && r.Stats().Failures == 0 {
			t.Errorf("case %d: not noticed", i)
		}
	}
}

func TestMarksAndVisitsOutliveTheProcess(t *testing.T) { // M-04
	path := filepath.Join(t.TempDir(), "state", "memory.jsonl")
	now := time.Unix(1e9, 0)
	clock := func() time.Time { return now }
	terms := Terms{Delay: time.Minute, Window: time.Hour, Life: 24 * time.Hour}
	life := func(use func(l *Local)) {
		l, damaged, err := OpenLocal(path, 1000, clock)
		if err != nil || damaged != 0 {
			t.Fatal(err, damaged)
		}
		use(l)
		ctx, end := context.WithCancel(t.Context())
		end()
		l.Run(ctx, func(err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	life(func(l *Local) {
		l.Remember(t.Context(), "ban", 10*time.Minute)
		l.Remember(t.Context(), "moment", time.Second)
		l.Wait(t.Context(), "v", visitor, terms)
	})
	now = now.Add(2 * time.Minute)
	life(func(l *Local) {
		if !l.Known(t.Context(), "ban") || l.Known(t.Context(), "moment") || l.Wait(t.Context(), "v", visitor, terms) != 0 {
			t.Error("forgotten at the first restart")
		}
	})
	if list, err := ReadVisits(path, now); err != nil || len(list) != 1 || !list[0].Passed || list[0].Tries != 2 {
		t.Error("beside the process:", list, err)
	}
	now = now.Add(9 * time.Minute)
	life(func(l *Local) {
		if l.Known(t.Context(), "ban") || l.Wait(t.Context(), "v", visitor, terms) != 0 {
			t.Error("the ban never ends, or the pass did")
		}
	})
}

func TestADamagedMemoryLosesOnlyItsDamagedLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory.jsonl")
	now := func() time.Time { return time.Unix(1e9, 0) }
	l, _, err := OpenLocal(path, 100, now)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		l.Remember(t.Context(), fmt.Sprint("k", i), time.Hour)
	}
	if err := l.flush(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil || bytes.Count(whole, []byte("\n")) != 20 {
		t.Fatal(err, len(whole))
	}
	for at := 0; at < len(whole); at += 7 { // cut anywhere, and put junk behind
		junk := append(bytes.Clone(whole[:at]), []byte("\x00{\"sum\":"+strings.Repeat("9", 3*maxBookLine)+"\n")...)
		if err := os.WriteFile(path, append(junk, whole...), 0o600); err != nil {
			t.Fatal(err)
		}
		l, damaged, err := OpenLocal(path, 100, now)
		if err != nil || damaged == 0 || damaged > 2 {
			t.Fatalf("cut at %d: %d damaged, %v", at, damaged, err)
		}
		if !l.Known(t.Context(), "k0") || !l.Known(t.Context(), "k19") {
			t.Fatalf("cut at %d: lost whole lines", at)
		}
		l.book.f.Close()
	}
}

func TestTheMemoryFileDoesNotGrowForEver(t *testing.T) { // I-08
	path := filepath.Join(t.TempDir(), "memory.jsonl")
	now := time.Unix(1e9, 0)
	l, _, err := OpenLocal(path, 100, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	defer l.book.f.Close()
	most := int64(0)
	for i := range 6 * slack {
		l.Remember(t.Context(), fmt.Sprint(i), time.Hour)
		if i%1000 == 0 {
			if err := l.flush(); err != nil {
				t.Fatal(err)
			}
			if info, err := os.Stat(path); err == nil {
				most = max(most, info.Size())
			}
		}
	}
	if perLine := int64(100); most > (slack+2000)*perLine {
		t.Errorf("the file grew to %d bytes for 100 marks", most)
	}
}

func TestALaterMarkIsNeverShortened(t *testing.T) { // M-03
	each(t, func(t *testing.T, c counter, pass func(time.Duration)) {
		c.Remember(t.Context(), "k", time.Hour)
		c.Remember(t.Context(), "k", 10*time.Millisecond)
		pass(50 * time.Millisecond)
		if !c.Known(t.Context(), "k") {
			t.Error("a short ban took the place of a long one")
		}
	})
}

func TestALyingRedisIsHeardOnlySoLong(t *testing.T) { // M-06
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var sent atomic.Int64
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				go io.Copy(io.Discard, c)
				c.Write([]byte("$1000000000\r\n"))
				for chunk := make([]byte, 64<<10); ; {
					n, err := c.Write(chunk)
					if sent.Add(int64(n)); err != nil {
						return
					}
				}
			}()
		}
	}()
	r, err := NewRedis(RedisConfig{URL: "redis://" + l.Addr().String(), Gateways: 1, Keys: 10, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for i, want := range []bool{true, false} {
		if ok, _ := r.Take(t.Context(), "k", 1, Rate{1, time.Minute}); ok != want {
			t.Errorf("event %d: allowed %v", i+1, ok)
		}
	}
	nc, err := dial(t.Context(), "tcp", l.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for range 2 {
		if _, err := nc.Write([]byte("PING\r\n")); err != nil {
			break
		}
		n, err := io.Copy(io.Discard, nc)
		if n > maxReply || err == nil {
			t.Errorf("read %d bytes of one answer: %v", n, err)
		}
	}
}
