package smtp

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"
)

// stressTick is how often the server looks whether there is stress.
const stressTick = time.Second

// watchStress hurries the sessions that wait for a command when stress begins, for their deadlines were set in better
// times, and makes room while it lasts.
func (s *Server) watchStress(ctx context.Context) {
	t := time.NewTicker(stressTick)
	defer t.Stop()
	was := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		is := s.cfg.Stress()
		if is && !was {
			for _, c := range s.sessions() {
				c.hurry(s.pace().Idle)
			}
		}
		if is {
			s.makeRoom()
		}
		was = is
	}
}

// sessions are the connections open now.
func (s *Server) sessions() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.open))
}

// freePart is the part of the unreserved connections, in percent, that is kept free under stress.
const freePart = 10

// makeRoom ends the sessions that have been idle for longest, so that a tenth of the connections that anybody may have is
// free for those who have mail to send now. Reserved networks are spared, and so is who waits for less than a second.
func (s *Server) makeRoom() {
	l := s.limits()
	open := s.sessions()
	most := l.Connections - l.Connections*l.Reserve/100
	excess := len(open) - (most - most*freePart/100)
	type idler struct {
		c     *conn
		since time.Time
	}
	var idle []idler
	for _, c := range open {
		switch since, waiting, dropped := c.idle(); {
		case dropped:
			excess--
		case waiting && time.Since(since) >= stressTick && !s.cfg.Reserved(c.peer.Remote):
			idle = append(idle, idler{c, since})
		}
	}
	if excess <= 0 {
		return
	}
	slices.SortFunc(idle, func(a, b idler) int { return cmp.Compare(a.since.UnixNano(), b.since.UnixNano()) })
	for _, i := range idle[:min(excess, len(idle))] {
		i.c.drop()
	}
}
