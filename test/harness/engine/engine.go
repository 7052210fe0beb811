// Package engine has what the tests of all filters share that ask another engine: how its findings are written down, and that
// they bear a peer that is away or crowded.
//
// It speaks no engine's protocol; who plays the engine is the test's.
package engine

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/filters/peer"
)

// Told is each finding in one line: its code and all its evidence.
func Told(facts filters.Facts) (list []string) {
	for _, f := range facts.Findings {
		line := f.Code
		for _, p := range f.Proof {
			line += "; " + p.What
		}
		list = append(list, line)
	}
	return list
}

// Rests checks that a filter whose engine is not there says so each time, and after some times without waiting for it.
func Rests(t *testing.T, f filters.Filter, m func() *mail.Mail) {
	t.Helper()
	for i := range peer.RestAfter + 1 {
		_, err := f.Check(t.Context(), m())
		if err == nil || strings.Contains(err.Error(), peer.ErrResting.Error()) != (i == peer.RestAfter) {
			t.Errorf("try %d: %v", i, err)
		}
	}
}

// A Crowd is an engine over HTTP that gives one answer and counts who asks.
type Crowd struct {
	URL string

	mu                 sync.Mutex
	now, most, dialled int
}

// NewCrowd starts an engine that answers everything with this JSON.
func NewCrowd(t *testing.T, answer string) *Crowd {
	c := &Crowd{}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.count(1)
		_, _ = io.Copy(io.Discard, r.Body)
		c.count(-1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if state == http.StateNew {
			c.dialled++
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	c.URL = s.URL
	return c
}

func (c *Crowd) count(by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now += by
	c.most = max(c.most, c.now)
}

// Press asks for twenty messages at once, and checks that no more than most were under way and that connections served again.
func (c *Crowd) Press(t *testing.T, f filters.Filter, m func() *mail.Mail, most, dialled int) {
	t.Helper()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := f.Check(context.Background(), m()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.most > most || c.dialled > dialled {
		t.Errorf("%d at once, %d connections", c.most, c.dialled)
	}
}
