package access

import (
	"slices"
	"time"
)

// How long connections wait is judged by the last ten seconds, and only if at least twenty came: one that waited long is no
// crowd.
const (
	waitsOver  = 10 * time.Second
	fewestWait = 20
)

// waitSteps are the lengths by which waits are told apart.
var waitSteps = [...]time.Duration{
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second,
}

// waits are how long connections waited of late, second by second.
type waits struct {
	seconds [int(waitsOver / time.Second)]second
}

// A second counts the waits that ended in it.
type second struct {
	at    int64 // Unix
	all   int
	long  int // longer than the limit that held then
	steps [len(waitSteps) + 1]int
}

// add counts a wait.
func (w *waits) add(now time.Time, wait, limit time.Duration) {
	s := &w.seconds[now.Unix()%int64(len(w.seconds))]
	if s.at != now.Unix() {
		*s = second{at: now.Unix()}
	}
	step, _ := slices.BinarySearch(waitSteps[:], wait)
	s.all++
	s.steps[step]++
	if wait > limit {
		s.long++
	}
}

// recent adds up the last ten seconds.
func (w *waits) recent(now time.Time) (sum second) {
	for i := range w.seconds {
		s := &w.seconds[i]
		if now.Unix()-s.at >= int64(len(w.seconds)) {
			continue
		}
		sum.all += s.all
		sum.long += s.long
		for k, n := range s.steps {
			sum.steps[k] += n
		}
	}
	return sum
}

// crowded reports whether more than one in twenty waited longer than the limit: the 95th percentile is above it.
func (s *second) crowded() bool { return s.all >= fewestWait && s.long*20 > s.all }

// percentile is the length that so many in a hundred did not exceed, rounded up to a step; 0 if nobody came.
func (s *second) percentile(hundredth int) time.Duration {
	seen := 0
	for i, n := range s.steps {
		if seen += n; s.all > 0 && seen*100 >= s.all*hundredth {
			return waitSteps[min(i, len(waitSteps)-1)]
		}
	}
	return 0
}

// Served takes note of how long a connection waited from the moment it was accepted until it was attended to; what the
// gateway lets a client wait on purpose does not count (HOSTILE 3.4).
func (g *Gate) Served(wait time.Duration) { g.stress.served(wait) }

// AcceptLatency is the 95th percentile of what Served was told in the last ten seconds, rounded up; more than ten seconds
// are ten.
func (g *Gate) AcceptLatency() time.Duration {
	g.stress.mu.Lock()
	defer g.stress.mu.Unlock()
	sum := g.stress.waits.recent(g.stress.now())
	return sum.percentile(95)
}
