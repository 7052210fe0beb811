package dnsbl

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"gatepost/rules/dnslists"
)

// When lists are tested again.
const (
	trustFor    = 4 * time.Hour    // a list that answered rightly
	wrongFor    = 15 * time.Minute // one that answered wrongly
	silentFor   = time.Minute      // one that did not answer
	silentAfter = 5                // questions in a row without an answer
	testTime    = 10 * time.Second // for both test points together
)

// A Sentry knows which lists may be believed: those that answer rightly for their test points (RFC 5782 section 5),
// refuse nobody and do answer (HOSTILE L-06). It outlives reloads. It is safe for concurrent use.
type Sentry struct {
	now  func() time.Time
	mu   sync.Mutex
	seen map[string]*standing // by zone

	believes bool // every list, untested; see Believing
}

// NewSentry makes a Sentry that has seen nothing.
func NewSentry(now func() time.Time) *Sentry {
	return &Sentry{now: now, seen: map[string]*standing{}}
}

// Believing makes a Sentry that believes every list and asks for no test point: for a test of the policy, whose author
// gives the lists' answers.
func Believing() *Sentry {
	s := NewSentry(time.Now)
	s.believes = true
	return s
}

// A standing is what is known of one list.
type standing struct {
	tested                time.Time
	again                 time.Time // when to test
	wrong                 error     // why the list is muted; nil: it is believed
	since                 time.Time // when it was muted
	silent                int       // questions in a row without an answer
	testing               chan struct{}
	asked, listed, failed int64
}

// A State is what is known of one list, for people and for metrics.
type State struct {
	Name   string    `json:"name"`
	Tested time.Time `json:"tested,omitzero"`
	Muted  string    `json:"muted,omitempty"` // why its answers do not count
	Since  time.Time `json:"since,omitzero"`  // when it was muted
	Asked  int64     `json:"asked"`
	Listed int64     `json:"listed"`
	Failed int64     `json:"failed"` // questions without an answer that counts
}

// States are the lists' states, in their order.
func (s *Sentry) States(lists []List) []State {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]State, len(lists))
	for i, l := range lists {
		out[i].Name = l.Name
		if st := s.seen[l.zone]; st != nil {
			out[i] = State{Name: l.Name, Tested: st.tested, Since: st.since, Asked: st.asked, Listed: st.listed, Failed: st.failed}
			if st.wrong != nil {
				out[i].Muted = st.wrong.Error()
			}
		}
	}
	return out
}

// Test tests every list whose time it is, all at once.
func (s *Sentry) Test(ctx context.Context, r Resolver, lists []List) {
	var wg sync.WaitGroup
	for i := range lists {
		wg.Go(func() { _ = s.fit(ctx, r, &lists[i]) })
	}
	wg.Wait()
}

// standing is what is known of a list; the lock must be held.
func (s *Sentry) standing(l *List) *standing {
	st := s.seen[l.zone]
	if st == nil {
		st = &standing{wrong: errUntested}
		s.seen[l.zone] = st
	}
	return st
}

var errUntested = errors.New("its test points were not asked yet")

// fit returns why a list may not be asked now, nil if it may. The first to need a list waits for its test; later ones go
// by the last test while the next one runs.
func (s *Sentry) fit(ctx context.Context, r Resolver, l *List) error {
	if s.believes {
		return nil
	}
	s.mu.Lock()
	st := s.standing(l)
	if st.testing == nil && !s.now().Before(st.again) {
		st.testing = make(chan struct{})
		go s.test(r, l, st)
	}
	wait := st.testing
	if wait == nil || !st.tested.IsZero() {
		defer s.mu.Unlock()
		return st.muted()
	}
	s.mu.Unlock()
	select {
	case <-wait:
	case <-ctx.Done():
	}
	return s.muted(l)
}

// muted is why a list is not believed.
func (s *Sentry) muted(l *List) error {
	if s.believes {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.standing(l).muted()
}

// muted is why the list is not believed; the lock must be held.
func (st *standing) muted() error {
	if st.wrong == nil {
		return nil
	}
	return fmt.Errorf("muted, %w", st.wrong)
}

// test asks for a list's test points and notes what came of it.
func (s *Sentry) test(r Resolver, l *List, st *standing) {
	ctx, cancel := context.WithTimeout(context.Background(), testTime)
	defer cancel()
	err := examine(ctx, r, l)
	s.mu.Lock()
	defer s.mu.Unlock()
	st.tested, st.silent = s.now(), 0
	s.judge(st, err)
	close(st.testing)
	st.testing = nil
}

// judge notes whether a list is to be believed; the lock must be held.
func (s *Sentry) judge(st *standing, err error) {
	now := s.now()
	switch {
	case err == nil:
		st.wrong, st.since, st.again = nil, time.Time{}, now.Add(trustFor)
		return
	case errors.Is(err, errNoAnswer):
		st.again = now.Add(silentFor)
	default:
		st.again = now.Add(wrongFor)
	}
	if st.wrong == nil || st.since.IsZero() {
		st.since = now
	}
	st.wrong = err
}

// examine asks for both test points.
func examine(ctx context.Context, r Resolver, l *List) error {
	if l.Test.Listed != "" {
		addrs, err := lookUp(ctx, r, testName(l, l.Test.Listed))
		switch {
		case err != nil:
			return fmt.Errorf("its test points could not be asked: %w", err)
		case len(addrs) == 0:
			return fmt.Errorf("it does not list its test point %s", l.Test.Listed)
		}
		if err := foul(l, addrs); err != nil {
			return err
		}
	}
	addrs, err := lookUp(ctx, r, testName(l, l.Test.Clean))
	switch {
	case err != nil:
		return fmt.Errorf("its test points could not be asked: %w", err)
	case len(addrs) == 0:
		return nil
	}
	if err := foul(l, addrs); err != nil {
		return err
	}
	return fmt.Errorf("it lists %s, which nobody may list", l.Test.Clean)
}

// testName is the name that asks for a test point.
func testName(l *List, point string) string {
	s := subject{name: strings.ToLower(point)}
	if a, err := netip.ParseAddr(point); err == nil {
		s.addr = a
	} else if slices.Contains(l.Asks, dnslists.Mailbox) {
		s.kind = dnslists.Mailbox
	}
	return s.label(l.Hash) + "." + l.zone
}

// foul says what is wrong with answers that no list may give to us.
func foul(l *List, addrs []netip.Addr) error {
	for _, a := range addrs {
		switch reading, _ := l.Read(a); reading {
		case dnslists.Blocked:
			return fmt.Errorf("it says that our resolver may not ask (%s)", a)
		case dnslists.Foreign:
			return fmt.Errorf("somebody else answers for it (%s)", a)
		}
	}
	return nil
}

// saw notes one answer. A list that refuses us, or for which somebody else answers, is muted at once; one that is silent
// too often, too.
func (s *Sentry) saw(l *List, r result) {
	wrong := foul(l, r.addrs)
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.standing(l)
	st.asked++
	switch {
	case wrong != nil:
		st.failed++
		s.judge(st, wrong)
	case r.err != nil:
		st.failed++
		if st.silent++; st.silent >= silentAfter && st.wrong == nil {
			s.judge(st, fmt.Errorf("the last %d questions: %w", st.silent, errNoAnswer))
		}
	default:
		st.silent = 0
		if len(r.addrs) > 0 {
			st.listed++
		}
	}
}
