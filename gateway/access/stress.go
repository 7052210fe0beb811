package access

import (
	"sync"
	"time"
)

// Stress begins above the first part of all connections, in percent, and ends after calm below the second.
const (
	stressAbove = 80
	stressBelow = 60
	stressCalm  = 30 * time.Second
)

// stress knows whether there are so many connections that patience must be short.
type stress struct {
	mu    sync.Mutex
	on    bool
	calm  time.Time // since when connections are few again; zero while they are not
	since time.Time
	now   func() time.Time
	told  func(on bool)
}

// see takes note of how many connections are open.
func (s *stress) see(open, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case open*100 > most*stressAbove:
		s.calm = time.Time{}
		if !s.on {
			s.on, s.since = true, s.now()
			s.tell()
		}
	case s.on && open*100 >= most*stressBelow:
		s.calm = time.Time{}
	case s.on && s.calm.IsZero():
		s.calm = s.now()
	}
}

// is reports whether stress holds, and since when.
func (s *stress) is() (bool, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.on && !s.calm.IsZero() && s.now().Sub(s.calm) >= stressCalm {
		s.on = false
		s.tell()
	}
	return s.on, s.since
}

func (s *stress) tell() {
	if s.told != nil {
		s.told(s.on)
	}
}

// OnStress has f told of every begin and end of stress. It must be called before the first connection; f must be quick.
func (g *Gate) OnStress(f func(on bool)) { g.stress.told = f }

// Stress reports whether most connections are taken.
func (g *Gate) Stress() bool {
	on, _ := g.stress.is()
	return on
}

// Stressed is since when Stress holds; the zero time if it does not.
func (g *Gate) Stressed() time.Time {
	if on, since := g.stress.is(); on {
		return since
	}
	return time.Time{}
}
