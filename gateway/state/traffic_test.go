package state

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"gatepost/filters/traffic"
)

// A tracker is what both kinds promise of traffic.
type tracker interface {
	Weigh(ctx context.Context, senders []string, w traffic.Weight) error
	Ask(ctx context.Context, q traffic.Question) (traffic.Answer, error)
}

// eachTracker runs a test against both kinds; pass makes time go by.
func eachTracker(t *testing.T, test func(t *testing.T, m tracker, pass func(time.Duration))) {
	t.Run("local", func(t *testing.T) {
		now := time.Unix(1e9, 0)
		test(t, NewLocal(1000, func() time.Time { return now }), func(d time.Duration) { now = now.Add(d) })
	})
	t.Run("redis", func(t *testing.T) { test(t, connect(t, startRedis(t, "")), time.Sleep) })
}

const fortnight = 14 * 24 * time.Hour

func ask(t *testing.T, m tracker, q traffic.Question) traffic.Answer {
	t.Helper()
	if q.HalfLife == 0 {
		q.HalfLife = fortnight
	}
	a, err := m.Ask(t.Context(), q)
	if err != nil || len(a.Senders) != len(q.Senders) || len(a.Bands) != len(q.Bands) {
		t.Fatal(a, err)
	}
	return a
}

func weighs(t *testing.T, m tracker, key string, w traffic.Weight) {
	t.Helper()
	if w.HalfLife == 0 {
		w.HalfLife = fortnight
	}
	if err := m.Weigh(t.Context(), []string{key}, w); err != nil {
		t.Fatal(err)
	}
}

func about(a, b float64) bool { return math.Abs(a-b) < 0.05*max(b, 0.1) }

func TestWhatSendersSentIsAddedUp(t *testing.T) { // C-20: the keys are hostile on purpose
	eachTracker(t, func(t *testing.T, m tracker, _ func(time.Duration)) {
		for range 8 {
			weighs(t, m, "' ; * : { }\r\n", traffic.Weight{Wanted: 1, Messages: 1})
		}
		weighs(t, m, "' ; * : { }\r\n", traffic.Weight{Unwanted: 5})
		for range 3 { // asking changes nothing
			a := ask(t, m, traffic.Question{Senders: []string{"' ; * : { }\r\n", "stranger"}})
			if s := a.Senders[0]; !about(s.Wanted, 8) || !about(s.Unwanted, 5) || s.Hour != 8 {
				t.Errorf("%+v", s)
			}
			if a.Senders[1] != (traffic.Standing{}) {
				t.Errorf("a stranger: %+v", a.Senders[1])
			}
		}
	})
}

func TestWhatIsRememberedOfSendersAges(t *testing.T) {
	eachTracker(t, func(t *testing.T, m tracker, pass func(time.Duration)) {
		half := 500 * time.Millisecond
		weighs(t, m, "k", traffic.Weight{Unwanted: 100, HalfLife: half})
		pass(2 * half)
		a := ask(t, m, traffic.Question{Senders: []string{"k"}, HalfLife: half})
		if s := a.Senders[0]; s.Unwanted > 26 || s.Unwanted == 0 || s.Known < 2*half {
			t.Errorf("%+v", s)
		}
	})
}

func TestWhoWasGoodForLongCanStillTurnBad(t *testing.T) {
	eachTracker(t, func(t *testing.T, m tracker, _ func(time.Duration)) {
		weighs(t, m, "k", traffic.Weight{Wanted: 3000})
		weighs(t, m, "k", traffic.Weight{Unwanted: 1000})
		if s := ask(t, m, traffic.Question{Senders: []string{"k"}}).Senders[0]; !about(s.Wanted, maxSum/2) || !about(s.Unwanted, maxSum/2) {
			t.Errorf("%+v", s)
		}
	})
}

func TestAUsualHourIsTheMeanOfThoseInWhichSomethingCame(t *testing.T) {
	now := time.Unix(1e9, 0)
	l := NewLocal(10, func() time.Time { return now })
	for _, n := range []int{4, 0, 8, 0, 0, 6} {
		for range n {
			weighs(t, l, "k", traffic.Weight{Messages: 1})
		}
		now = now.Add(time.Hour)
	}
	if s := ask(t, l, traffic.Question{Senders: []string{"k"}}).Senders[0]; s.Hours != 3 || s.Usual != 6 || s.Hour != 0 || s.Known != 6*time.Hour {
		t.Errorf("%+v", s)
	}
}

func TestTheHoursOfRedisRollLikeOurs(t *testing.T) {
	r := connect(t, startRedis(t, ""))
	ago := func(d time.Duration) int64 { return time.Now().Add(-d).UnixMilli() }
	r.client.HSet(t.Context(), name("k"), "w", 10, "u", 0, "a", ago(fortnight), "f", ago(2*fortnight), "h", time.Now().Unix()/3600-5, "n", 8, "m", 4, "k", 1)
	weighs(t, r, "k", traffic.Weight{Messages: 1})
	if s := ask(t, r, traffic.Question{Senders: []string{"k"}}).Senders[0]; !about(s.Wanted, 5) || s.Hours != 2 || s.Usual != 6 || s.Hour != 1 || s.Known < 2*fortnight-time.Minute {
		t.Errorf("%+v", s)
	}
}

func seen(n uint64) traffic.Sighting {
	return traffic.Sighting{Letter: n, Network: n << 40, Domains: [traffic.MaxDomains]uint64{math.MaxUint64, n}}
}

func TestBodiesAreSeenOncePerLetterWithinTheWindow(t *testing.T) {
	eachTracker(t, func(t *testing.T, m tracker, pass func(time.Duration)) {
		q := traffic.Question{Bands: []string{"a", "b"}, Window: time.Second}
		for _, n := range []uint64{1, 1, 2, 1, 3} {
			q.Sighting = seen(n)
			ask(t, m, q)
		}
		a := ask(t, m, q)
		for _, band := range a.Bands {
			letters := map[uint64]bool{}
			for _, s := range band {
				letters[s.Letter] = true
				want := seen(s.Letter)
				if want.At = s.At; s != want || s.At.IsZero() {
					t.Errorf("%+v", s)
				}
			}
			if len(band) != 3 || len(letters) != 3 {
				t.Errorf("%+v", band)
			}
		}
		for n := range uint64(100) {
			q.Sighting = seen(n + 10)
			a = ask(t, m, q)
		}
		if len(a.Bands[0]) != traffic.MaxSightings {
			t.Errorf("%d remembered", len(a.Bands[0]))
		}
		pass(q.Window)
		if a = ask(t, m, q); len(a.Bands[0]) != 1 {
			t.Errorf("after the window: %d", len(a.Bands[0]))
		}
	})
}

func TestNonsenseAboutTrafficIsTakenAsAbsent(t *testing.T) { // M-06
	r := connect(t, startRedis(t, ""))
	ctx := t.Context()
	for i, plant := range []func(k string){
		func(k string) { r.client.Set(ctx, k, "text", 0) },
		func(k string) { r.client.HSet(ctx, k, "w", "x") },
		func(k string) {
			r.client.HSet(ctx, k, "w", "1e300", "u", 0, "a", 1, "f", 1, "h", 1, "n", 1, "m", 1, "k", 1)
		},
		func(k string) {
			r.client.HSet(ctx, k, "w", "nan", "u", 0, "a", 1, "f", 1, "h", 1, "n", 1, "m", 1, "k", 1)
		},
	} {
		key := fmt.Sprint(i)
		plant(name(key))
		bad := r.Stats().Bad
		if s := ask(t, r, traffic.Question{Senders: []string{key}}).Senders[0]; s != (traffic.Standing{}) || r.Stats().Bad == bad {
			t.Errorf("case %d: %+v", i, s)
		}
		weighs(t, r, key, traffic.Weight{Wanted: 2})
		if s := ask(t, r, traffic.Question{Senders: []string{key}}).Senders[0]; !about(s.Wanted, 2) {
			t.Errorf("case %d is not mended: %+v", i, s)
		}
	}
	q := traffic.Question{Bands: []string{"band"}, Sighting: seen(1), Window: time.Minute}
	r.client.Set(ctx, name("band"), "text", 0)
	ask(t, r, q)
	now := time.Now().UnixMilli()
	r.client.LPush(ctx, name("band"), "nonsense", fmt.Sprint(now, " zz 1 2 3 4"), fmt.Sprint(now, " 1 2"), fmt.Sprint(now, " 5 6 7 8 9"))
	if a := ask(t, r, q); len(a.Bands[0]) != 2 {
		t.Errorf("%+v", a.Bands)
	}
}

// M-01: this process alone knows too little to say anything, and nobody waits longer than the deadline.
func TestTrafficCannotBeAskedWithoutRedis(t *testing.T) {
	r, err := NewRedis(RedisConfig{URL: "redis://127.0.0.1:1", Gateways: 2, Keys: 100, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for range 2 * maxFailures {
		if _, err := r.Ask(t.Context(), traffic.Question{Senders: []string{"k"}, HalfLife: fortnight}); err == nil {
			t.Error("there is an answer")
		}
		if r.Weigh(t.Context(), []string{"k"}, traffic.Weight{HalfLife: fortnight}) == nil {
			t.Error("it is weighed")
		}
	}
	if !r.Away() {
		t.Error("not given up")
	}
}

func TestGatewaysShareWhatTheySawOfTraffic(t *testing.T) {
	s := startRedis(t, "")
	a, b := connect(t, s), connect(t, s)
	weighs(t, a, "k", traffic.Weight{Unwanted: 3})
	q := traffic.Question{Senders: []string{"k"}, Bands: []string{"x"}, Sighting: seen(1), Window: time.Minute}
	ask(t, a, q)
	q.Sighting = seen(2)
	if got := ask(t, b, q); !about(got.Senders[0].Unwanted, 3) || len(got.Bands[0]) != 2 {
		t.Errorf("%+v", got)
	}
}

// One that comes with ever new keys takes the place of others like it, not of those who are known.
func TestStrangersCannotMakeTheMemoryOfTrafficGrow(t *testing.T) { // I-08
	const most = 1000
	l := NewLocal(most, time.Now)
	for range 20 {
		weighs(t, l, "known", traffic.Weight{Wanted: 1})
	}
	for i := range 20 * most {
		key := fmt.Sprint(i)
		weighs(t, l, key, traffic.Weight{Unwanted: 1})
		ask(t, l, traffic.Question{Bands: []string{key}, Sighting: seen(uint64(i)), Window: time.Hour})
	}
	if l.senders.Len() > most || l.bands.Len() > most {
		t.Errorf("%d senders, %d bands", l.senders.Len(), l.bands.Len())
	}
	if s := ask(t, l, traffic.Question{Senders: []string{"known"}}).Senders[0]; s.Wanted < 19 {
		t.Errorf("forgotten: %+v", s)
	}
}

// What others may have written is read whole or not at all.
func FuzzReadSighting(f *testing.F) {
	f.Add("0 1 2 3 4 5")
	f.Add("99999999999999999999 1 2 3 4 5")
	f.Add("0 ffffffffffffffff 0 0 0 x")
	f.Fuzz(func(t *testing.T, text string) {
		now := time.Unix(1e9, 0)
		if s, ok := readSighting(text, now); ok && s.At.After(now) {
			t.Errorf("%q: %+v", text, s)
		}
	})
}

func BenchmarkLocalAsk(b *testing.B) {
	l := NewLocal(1<<16, time.Now)
	q := traffic.Question{Senders: []string{"d", "n"}, Bands: []string{"a", "b", "c", "d"}, HalfLife: fortnight, Window: time.Hour}
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		q.Sighting.Letter = i
		if _, err := l.Ask(b.Context(), q); err != nil {
			b.Fatal(err)
		}
	}
}
