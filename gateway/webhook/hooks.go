package webhook

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/journal"
)

// Hooks tell their receivers. A nil *Hooks tells nobody. It is safe for concurrent use.
type Hooks struct {
	deps  Deps
	guard guard

	mu      sync.Mutex
	senders []*sender
	last    map[string]Condition // by name, as of the last look at health
	looked  bool
	closed  bool
}

// Deps is what Hooks stand on.
type Deps struct {
	Gateway  string // the hostname of gatepost.yaml
	Resolver Resolver
	Now      func() time.Time
	Backoff  func(try int) time.Duration // after the try-th failure, from 1; nil: Backoff
}

// New returns hooks that tell nobody until Use.
func New(d Deps) *Hooks {
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Backoff == nil {
		d.Backoff = Backoff
	}
	return &Hooks{deps: d}
}

// Use makes list the receivers. One that stays as it was keeps what it has not been told yet.
func (h *Hooks) Use(list []Config) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	old := h.senders
	var next, begun []*sender
	for _, c := range list {
		if i := slices.IndexFunc(old, func(s *sender) bool { return s.same(c) }); i >= 0 {
			next, old = append(next, old[i]), slices.Delete(slices.Clone(old), i, i+1)
			continue
		}
		s, err := newSender(c, h.deps)
		if err != nil {
			return fmt.Errorf("webhook %s: %w", c.Title(), err)
		}
		next, begun = append(next, s), append(begun, s)
	}
	for _, s := range begun {
		s.start()
	}
	for _, s := range old {
		s.stop()
	}
	h.senders = next
	return nil
}

// Close stops telling. What waits is dropped.
func (h *Hooks) Close() {
	if h == nil {
		return
	}
	h.mu.Lock()
	list := h.senders
	h.senders, h.closed = nil, true
	h.mu.Unlock()
	for _, s := range list {
		s.stop()
	}
	for _, s := range list {
		<-s.done
	}
}

// Observe tells what a journal record says, if anybody wants to know. It never waits.
func (h *Hooks) Observe(r *journal.Record) {
	if h == nil {
		return
	}
	if r.Kind == journal.Management && r.Action == actionLogin {
		h.loginFailed(r.Client)
		return
	}
	if e, data := eventOf(r); e != "" {
		h.tell(e, data)
	}
}

// loginFailed counts a failed login.
func (h *Hooks) loginFailed(client netip.Addr) {
	if b, ok := h.guard.failed(h.deps.Now(), client); ok {
		h.tell(Burst, b)
	}
}

// Look compares health with that of the last look, and tells what went wrong or became well. The first look only
// tells what is wrong.
func (h *Hooks) Look(now []Condition) {
	if h == nil {
		return
	}
	h.mu.Lock()
	last, first := h.last, !h.looked
	h.last, h.looked = make(map[string]Condition, len(now)), true
	for _, c := range now {
		h.last[c.Name] = c
	}
	current := h.last
	h.mu.Unlock()
	for _, c := range now {
		if was, known := last[c.Name]; known && was.OK != c.OK || !known && !c.OK {
			h.tell(Health, c)
		}
	}
	if first {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(last)) { // what is not looked at any more is no trouble
		if was := last[name]; !was.OK {
			if _, there := current[name]; !there {
				h.tell(Health, Condition{Name: name, OK: true, Severity: was.Severity})
			}
		}
	}
}

// tell queues a notice for everybody who wants it.
func (h *Hooks) tell(e Event, data any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.senders {
		if s.cfg.wants(e) {
			s.put(h.notice(e, data))
		}
	}
}

func (h *Hooks) notice(e Event, data any) Notice {
	now := h.deps.Now()
	return Notice{V: Version, ID: mail.NewID(now), Event: e, Time: now.UTC(), Gateway: h.deps.Gateway, Data: data}
}

// Test tells the receiver of that name that somebody asked, and reports whether there is one.
func (h *Hooks) Test(name, by string) bool {
	if h == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.senders {
		if s.cfg.Title() == name {
			s.put(h.notice(Test, TestCall{by}))
			return true
		}
	}
	return false
}

// Status is how every receiver does, in the order of the configuration.
func (h *Hooks) Status() []Status {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]Status, len(h.senders))
	for i, s := range h.senders {
		out[i] = s.status()
	}
	return out
}
