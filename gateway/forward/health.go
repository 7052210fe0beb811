package forward

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/smtp"
)

const (
	firstPause    = time.Second
	longestPause  = 30 * time.Second
	probePatience = 2 * time.Second // of mail that finds all its next hops down
)

// health is whether a next hop takes connections. One failure to connect takes it down; a probe, never mail, is what
// brings it back: after 1 s, then after pauses that double up to 30 s, each within 20 % at random, so that gateways and
// hops do not fall into step. Mail that has no other way may ask for a probe earlier.
type health struct {
	mu       sync.Mutex
	since    time.Time // of the present state
	err      error     // the last failure; nil: it is up
	failures int       // in a row
	tried    time.Time
	probing  chan struct{} // closed when the probe in progress ends; nil if there is none
	next     *time.Timer
	stopped  bool

	tls     mail.TLS
	expires time.Time // of its certificate
	issuer  string
}

// A HopState is a next hop as an operator sees it.
type HopState struct {
	Address    string
	Mode       smtp.Protection
	Up         bool // or not tried yet
	Since      time.Time
	Err        error    // why it is down
	Failures   int      // in a row
	TLS        mail.TLS // of the last connection
	Issuer     string   // of its certificate, printable
	Expires    time.Time
	Extensions *smtp.Extensions // as last said; nil before it was reached
	Busy, Idle int              // connections
}

func (h *hop) up() bool {
	h.health.mu.Lock()
	defer h.health.mu.Unlock()
	return h.health.err == nil
}

// failed notes that the hop could not be connected to, and has it probed later.
func (h *hop) failed(err error) {
	s := &h.health
	s.mu.Lock()
	changed := s.err == nil
	if changed {
		s.since = time.Now()
	}
	s.err = err
	s.tried = time.Now()
	s.failures++
	if s.next != nil {
		s.next.Stop()
	}
	if !s.stopped {
		s.next = time.AfterFunc(pause(s.failures), h.start)
	}
	s.mu.Unlock()
	if changed {
		h.tell()
	}
}

// pause is how long to wait after so many failures.
func pause(failures int) time.Duration {
	d := min(firstPause<<min(failures-1, 10), longestPause)
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

// worked notes that the hop was connected to.
func (h *hop) worked(c *smtp.Client) {
	s := &h.health
	s.mu.Lock()
	changed := s.err != nil
	if changed {
		s.since = time.Now()
	}
	s.err, s.failures = nil, 0
	s.tried = time.Now()
	if s.next != nil {
		s.next.Stop()
		s.next = nil
	}
	s.tls = c.TLS()
	if state := c.TLSState(); state != nil && len(state.PeerCertificates) > 0 {
		s.expires = state.PeerCertificates[0].NotAfter
		s.issuer = mail.Printable(state.PeerCertificates[0].Issuer.String(), 200)
	}
	s.mu.Unlock()
	if changed {
		h.tell()
	}
}

// succeed takes over the state of the hop that was in this place before, and has it probed if that is down.
func (h *hop) succeed(was *hop) {
	h.learnt.Store(was.learnt.Load())
	old, s := &was.health, &h.health
	old.mu.Lock()
	defer old.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since, s.err, s.failures, s.tried = old.since, old.err, old.failures, old.tried
	s.tls, s.expires, s.issuer = old.tls, old.expires, old.issuer
	if s.err != nil {
		s.next = time.AfterFunc(pause(s.failures), h.start)
	}
}

// start begins a probe, unless one is in progress or the last attempt was within the second.
func (h *hop) start() {
	s := &h.health
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || s.probing != nil || s.failures > 0 && time.Since(s.tried) < firstPause*8/10 {
		return
	}
	done := make(chan struct{})
	s.probing = done
	go func() {
		c, err := h.connect(context.Background())
		if err == nil {
			h.put(&line{Client: c})
		}
		s.mu.Lock()
		s.probing = nil
		s.mu.Unlock()
		close(done)
	}()
}

// settle waits for a probe in progress.
func (h *hop) settle(ctx context.Context) {
	h.health.mu.Lock()
	probing := h.health.probing
	h.health.mu.Unlock()
	if probing == nil {
		return
	}
	select {
	case <-probing:
	case <-ctx.Done():
	}
}

func (s *health) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	if s.next != nil {
		s.next.Stop()
	}
}

func (h *hop) tell() {
	if h.cfg.Changed != nil {
		h.cfg.Changed(h.state())
	}
}

func (h *hop) state() HopState {
	h.mu.Lock()
	idle := len(h.idle)
	h.mu.Unlock()
	s := &h.health
	s.mu.Lock()
	defer s.mu.Unlock()
	return HopState{
		Address: h.opts.Address, Mode: h.opts.Security.Mode,
		Up: s.err == nil, Since: s.since, Err: s.err, Failures: s.failures,
		TLS: s.tls, Issuer: s.issuer, Expires: s.expires,
		Extensions: h.learnt.Load(), Busy: len(h.slots), Idle: idle,
	}
}
