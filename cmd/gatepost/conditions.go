package main

import (
	"context"
	"sync"
	"time"

	"gatepost/filters"
	"gatepost/gateway/admin"
	"gatepost/policy"
)

// A ward remembers how everything is that filters depend on. The zero value is ready and safe for concurrent use.
type ward struct {
	mu    sync.Mutex
	list  []filters.Condition
	since map[string]time.Time // when something ceased to be well, by name
}

// rounds is how often the filters are asked.
const rounds = 15 * time.Second

// attend asks the filters of the chain in force, now and then, until ctx ends.
func (w *works) attend(ctx context.Context) {
	t := time.NewTicker(rounds)
	defer t.Stop()
	for {
		w.ward.note(w.gateway.Snapshot().Chain.Conditions(ctx), time.Now())
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// note takes in what the filters say.
func (w *ward) note(list []filters.Condition, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	since := map[string]time.Time{}
	for _, c := range list {
		if c.Err == nil {
			continue
		}
		since[c.Name] = now
		if was, ok := w.since[c.Name]; ok {
			since[c.Name] = was
		}
	}
	w.list, w.since = list, since
}

// conditions are the filters' parts of the gateway's health.
func (s *service) conditions(add func(name string, err error, severity admin.Severity, since time.Time, effect, hint string)) {
	p := s.gateway.Snapshot().Policy
	s.ward.mu.Lock()
	defer s.ward.mu.Unlock()
	for _, c := range s.ward.list {
		severity, effect := admin.Warning, "Mail is looked at all the same."
		if c.Down {
			a := p.OnFailure(c.Filter)
			effect = withoutFilter(a)
			if a == policy.Defer || a == policy.Reject {
				severity = admin.Critical
			}
		}
		add(c.Name, c.Err, severity, s.ward.since[c.Name], effect, c.Hint)
	}
}
