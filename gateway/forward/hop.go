package forward

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"gatepost/gateway/smtp"
)

// A hop is one next hop: its idle connections, its health, and what it last said it can take.
type hop struct {
	cfg    *Config
	opts   smtp.ClientOptions
	slots  chan struct{} // one for each connection in use
	learnt atomic.Pointer[smtp.Extensions]
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
	h := &hop{cfg: cfg, opts: opts, slots: make(chan struct{}, cfg.Connections)}
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

// line is the connection that was used last, if it is still good, or a new one.
func (h *hop) line(ctx context.Context) (*line, error) {
	for {
		h.mu.Lock()
		n := len(h.idle)
		if n == 0 {
			h.mu.Unlock()
			break
		}
		l := h.idle[n-1]
		h.idle = h.idle[:n-1]
		h.mu.Unlock()
		if l.Ready() && time.Since(l.since) < h.cfg.Idle {
			return l, nil
		}
		l.Quit()
	}
	c, err := h.connect(ctx)
	if err != nil {
		return nil, err
	}
	return &line{Client: c}, nil
}

// connect opens a new connection; its success or failure is the hop's health.
func (h *hop) connect(ctx context.Context) (*smtp.Client, error) {
	c, err := smtp.Dial(ctx, h.opts)
	if err == nil && h.cfg.own(c) {
		c.Quit()
		err = &smtp.StepError{Step: "connect", Err: ErrSelf}
	}
	if err != nil {
		if ctx.Err() == nil || !errors.Is(err, context.Canceled) {
			h.failed(err)
		}
		return nil, err
	}
	ext := c.Extensions()
	h.learnt.Store(&ext)
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
	if l.Broken() {
		return false
	}
	l.since = time.Now()
	h.mu.Lock()
	if h.closed || l.used >= h.cfg.PerConnection || len(h.idle) >= h.cfg.Connections {
		h.mu.Unlock()
		l.Quit()
		return true
	}
	h.idle = append(h.idle, l)
	if h.reaper == nil {
		h.reaper = time.AfterFunc(h.cfg.Idle, h.reap)
	}
	h.mu.Unlock()
	return true
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
		l.Quit()
	}
}

// hangUp closes all idle connections.
func (h *hop) hangUp() {
	h.mu.Lock()
	idle := h.idle
	h.idle = nil
	h.mu.Unlock()
	for _, l := range idle {
		l.Quit()
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
