package forward

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"gatepost/gateway/failpoint"
	"gatepost/gateway/smtp"
)

// fairChance is how long a next hop must have had before it counts as down because a caller's time ran out.
const fairChance = 5 * time.Second

// A hop is one next hop: its idle connections, its health, and what it last said it can take.
type hop struct {
	cfg    *Config
	opts   smtp.ClientOptions
	slots  chan struct{} // one for each connection in use
	freed  chan struct{} // has something when a connection may have become idle
	learnt atomic.Pointer[smtp.Extensions]
	live   atomic.Int32 // connections that are open
	health health

	mu     sync.Mutex
	idle   []*line // the one used last is at the end
	reaper *time.Timer
	closed bool
}

// A line is a pooled connection.
type line struct {
	*smtp.Client
	used  int       // transactions
	since time.Time // of being idle
}

func newHop(cfg *Config, opts smtp.ClientOptions) *hop {
	h := &hop{cfg: cfg, opts: opts, slots: make(chan struct{}, cfg.Connections), freed: make(chan struct{}, 1)}
	h.health.since = time.Now()
	return h
}

// send carries out t on a pooled or a new connection. A nil Receipt tells that no connection could be had, or that it
// failed before the next hop had said anything about t, so that t may be given to another hop.
func (h *hop) send(ctx context.Context, t *smtp.Transaction) (*smtp.Receipt, error) {
	if err := h.enter(ctx); err != nil {
		return nil, err
	}
	defer h.leave()
	for {
		l, err := h.line(ctx)
		if err != nil {
			return nil, err
		}
		receipt, err := l.Send(ctx, t)
		reused := l.used > 0
		l.used++
		alive := h.put(l)
		if alive || !untouched(receipt, err) || ctx.Err() != nil {
			return receipt, err
		}
		// A connection that served before may have been closed by the other end meanwhile; then the others that
		// lie idle likely were too. It is told from a next hop that is down by asking on a new connection.
		if !reused {
			if err == nil {
				err = &smtp.StepError{Step: "MAIL", Err: receipt.From}
			}
			h.failed(err)
			return nil, err
		}
		h.hangUp()
	}
}

// untouched reports whether the next hop said nothing about the transaction but that it is leaving.
func untouched(r *smtp.Receipt, err error) bool {
	if r.Begun {
		return false
	}
	return err != nil && r.From == nil || r.From != nil && r.From.Code == 421
}

// enter waits for the right to use one connection.
func (h *hop) enter(ctx context.Context) error {
	select {
	case h.slots <- struct{}{}:
		return nil
	default:
	}
	patience := time.NewTimer(h.cfg.Wait)
	defer patience.Stop()
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-patience.C:
		return ErrBusy
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *hop) leave() { <-h.slots }

// line is a connection to use. A next hop that refuses one more at its greeting while others are open is not down: one of
// those is waited for.
func (h *hop) line(ctx context.Context) (*line, error) {
	var patience <-chan time.Time
	for {
		if l := h.reuse(); l != nil {
			return l, nil
		}
		c, err := h.connect(ctx)
		if err == nil {
			return &line{Client: c}, nil
		}
		if h.live.Load() == 0 || !full(err) {
			return nil, err
		}
		if patience == nil {
			timer := time.NewTimer(h.cfg.Wait)
			defer timer.Stop()
			patience = timer.C
		}
		select {
		case <-h.freed:
		case <-patience:
			return nil, ErrBusy
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// reuse is the idle connection that was used last, if it is still good; nil if there is none.
func (h *hop) reuse() *line {
	for {
		h.mu.Lock()
		n := len(h.idle)
		if n == 0 {
			h.mu.Unlock()
			return nil
		}
		l := h.idle[n-1]
		h.idle = h.idle[:n-1]
		h.mu.Unlock()
		if l.Ready() && time.Since(l.since) < h.cfg.Idle {
			return l
		}
		h.drop(l)
	}
}

// full reports whether a next hop refused a connection in words that may mean that it has enough of them.
func full(err error) bool {
	var step *smtp.StepError
	var refusal *smtp.Reply
	return errors.As(err, &step) && step.Step == "greeting" && errors.As(err, &refusal) && refusal.Temporary()
}

// connect opens a new connection; its success or failure is the hop's health.
func (h *hop) connect(ctx context.Context) (*smtp.Client, error) {
	began := time.Now()
	if err := failpoint.Hit(failpoint.BeforeConnect); err != nil {
		h.failed(err)
		return nil, &smtp.StepError{Step: "connect", Err: err}
	}
	c, err := smtp.Dial(ctx, h.opts)
	if err == nil && h.cfg.own(c) {
		c.Quit()
		err = &smtp.StepError{Step: "connect", Err: ErrSelf}
	}
	if err != nil {
		hurried := ctx.Err() != nil && time.Since(began) < fairChance
		if !hurried && !(full(err) && h.live.Load() > 0) {
			h.failed(err)
		}
		return nil, err
	}
	ext := c.Extensions()
	h.learnt.Store(&ext)
	h.live.Add(1)
	h.worked(c)
	return c, nil
}

// own reports whether the other end of c is one of our listeners (HOSTILE J-03).
func (c *Config) own(client *smtp.Client) bool {
	remote, ok := client.Remote().(*net.TCPAddr)
	if !ok {
		return false
	}
	here, _ := client.Local().(*net.TCPAddr)
	ip := remote.AddrPort().Addr().Unmap()
	same := ip.IsLoopback() || here != nil && here.AddrPort().Addr().Unmap() == ip
	for _, o := range c.Own {
		if int(o.Port()) == remote.Port && (o.Addr().Unmap() == ip || o.Addr().IsUnspecified() && same) {
			return true
		}
	}
	return false
}

// put takes a connection back after use and reports whether it is alive. It is not the caller's any more.
func (h *hop) put(l *line) bool {
	alive := !l.Broken()
	l.since = time.Now()
	h.mu.Lock()
	keep := alive && !h.closed && l.used < h.cfg.PerConnection && len(h.idle) < h.cfg.Connections
	if keep {
		h.idle = append(h.idle, l)
		if h.reaper == nil {
			h.reaper = time.AfterFunc(h.cfg.Idle, h.reap)
		}
	}
	h.mu.Unlock()
	if !keep {
		h.drop(l)
	}
	select {
	case h.freed <- struct{}{}:
	default:
	}
	return alive
}

// drop closes a connection.
func (h *hop) drop(l *line) {
	h.live.Add(-1)
	l.Quit()
}

// reap closes what was idle too long, and comes back while anything is idle.
func (h *hop) reap() {
	var old []*line
	h.mu.Lock()
	for len(h.idle) > 0 && time.Since(h.idle[0].since) >= h.cfg.Idle {
		old = append(old, h.idle[0])
		h.idle = h.idle[1:]
	}
	h.reaper = nil
	if len(h.idle) > 0 && !h.closed {
		h.reaper = time.AfterFunc(h.cfg.Idle-time.Since(h.idle[0].since), h.reap)
	}
	h.mu.Unlock()
	for _, l := range old {
		h.drop(l)
	}
}

// hangUp closes all idle connections.
func (h *hop) hangUp() {
	h.mu.Lock()
	idle := h.idle
	h.idle = nil
	h.mu.Unlock()
	for _, l := range idle {
		h.drop(l)
	}
}

func (h *hop) close() {
	h.mu.Lock()
	h.closed = true
	if h.reaper != nil {
		h.reaper.Stop()
	}
	h.mu.Unlock()
	h.health.stop()
	h.hangUp()
}
