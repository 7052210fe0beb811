package access

import (
	"sync"
	"time"
)

// stress knows whether there is so much to do that patience must be short: too many connections, a queue of messages to be
// judged that stays full, or connections that wait long before anybody attends to them.
type stress struct {
	mu     sync.Mutex
	limits *Limits
	open   int // percent of all connections
	on     bool
	calm   time.Time // since when all is well again; zero while it is not
	full   time.Time // since when the queue is full; zero while it is not
	since  time.Time
	why    string
	waits  waits
	slow   bool  // connections wait long
	asked  int64 // the second in which that was looked at last
	now    func() time.Time
	told   func(on bool, why string)
}

// adjust takes new limits over.
func (s *stress) adjust(l *Limits) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits = l
}

// see takes note of how many connections are open.
func (s *stress) see(open, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = open * 100 / max(most, 1)
	if open*100 > most*s.limits.StressAbove {
		s.begin("most connections are taken")
	}
	s.look(open*100 >= most*s.limits.StressBelow)
}

// queue takes note of whether the queue of messages to be judged is full.
func (s *stress) queue(full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !full:
		s.full = time.Time{}
	case s.full.IsZero():
		s.full = s.now()
	}
	s.look(s.open >= s.limits.StressBelow)
}

// served takes note of how long a connection waited to be attended to.
func (s *stress) served(wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waits.add(s.now(), wait, s.limits.StressAccept)
	if wait > s.limits.StressAccept {
		s.asked = 0
		s.look(s.open >= s.limits.StressBelow)
	}
}

// late reports whether connections wait long. It adds up once a second, or when one has just waited long.
func (s *stress) late() bool {
	if now := s.now(); now.Unix() != s.asked {
		sum := s.waits.recent(now)
		s.slow, s.asked = sum.crowded(), now.Unix()
	}
	return s.slow
}

// look begins stress when the queue has been full for long, or connections wait long, and measures the calm that ends it.
func (s *stress) look(crowded bool) {
	late := s.late()
	if late {
		s.begin("connections wait long to be attended to")
	}
	if !s.full.IsZero() && s.now().Sub(s.full) >= s.limits.StressQueue {
		s.begin("messages wait to be judged")
	}
	switch {
	case crowded || late || !s.full.IsZero():
		s.calm = time.Time{}
	case s.on && s.calm.IsZero():
		s.calm = s.now()
	}
}

// begin begins stress, if it has not begun.
func (s *stress) begin(why string) {
	if s.on {
		return
	}
	s.on, s.since, s.why = true, s.now(), why
	s.tell(why)
}

// is reports whether stress holds, and since when.
func (s *stress) is() (bool, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look(s.open >= s.limits.StressBelow)
	if s.on && !s.calm.IsZero() && s.now().Sub(s.calm) >= s.limits.StressCalm {
		s.on = false
		s.tell("calm")
	}
	return s.on, s.since
}

func (s *stress) tell(why string) {
	if s.told != nil {
		s.told(s.on, why)
	}
}

// OnStress has f told of every begin and end of stress, and why. It must be called before the first connection; f must be
// quick.
func (g *Gate) OnStress(f func(on bool, why string)) { g.stress.told = f }

// Queue takes note of whether the queue of messages to be judged is full.
func (g *Gate) Queue(full bool) { g.stress.queue(full) }

// Stress reports whether there is more to do than can be done with patience.
func (g *Gate) Stress() bool {
	on, _ := g.stress.is()
	return on
}

// Stressed is since when Stress holds and why it began; the zero time if it does not hold.
func (g *Gate) Stressed() (since time.Time, why string) {
	if on, since := g.stress.is(); on {
		g.stress.mu.Lock()
		defer g.stress.mu.Unlock()
		return since, g.stress.why
	}
	return time.Time{}, ""
}
