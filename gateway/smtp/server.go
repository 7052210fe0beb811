package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Server speaks SMTP to clients on any number of listeners and asks a Handler about what they want. One goroutine
// serves one connection.
type Server struct {
	cfg     Config
	handler Handler
	counts  counters
	tuning  atomic.Pointer[tuning]
	pool    buffers

	mu        sync.Mutex
	open      map[*conn]struct{}
	listeners map[net.Listener]struct{}
	draining  bool
	pause     chan struct{} // closed when no more connections are to be taken
	parked    int           // listeners that take none
	empty     chan struct{} // closed when draining and nothing is open
	stop      chan struct{} // closed when draining begins
}

// NewServer returns a Server; h is asked about every connection.
func NewServer(cfg Config, h Handler) *Server {
	if cfg.TLS == nil {
		cfg.TLS = func() *tls.Config { return nil }
	}
	if cfg.GreetDelay == nil {
		cfg.GreetDelay = func(Peer) time.Duration { return 0 }
	}
	if cfg.AllowTLS == nil {
		cfg.AllowTLS = func(Peer) *Reply { return nil }
	}
	if cfg.Reserved == nil {
		cfg.Reserved = func(netip.Addr) bool { return false }
	}
	if cfg.Stress == nil {
		cfg.Stress = func() bool { return false }
	}
	if cfg.Served == nil {
		cfg.Served = func(time.Duration) {}
	}
	if cfg.Go == nil {
		cfg.Go = func(serve func()) { go serve() }
	}
	if cfg.Panicked == nil {
		cfg.Panicked = func(any, []byte) {}
	}
	s := &Server{
		cfg: cfg, handler: h,
		open:      make(map[*conn]struct{}),
		listeners: make(map[net.Listener]struct{}),
		pause:     make(chan struct{}),
		empty:     make(chan struct{}),
		stop:      make(chan struct{}),
	}
	s.Adjust(cfg.Limits, cfg.Timeouts, cfg.NormalizeBareLF)
	return s
}

// A tuning is what may be changed while the server runs.
type tuning struct {
	limits   Limits
	timeouts Timeouts
	bareLF   []netip.Prefix
}

// Adjust replaces the limits, the timeouts and the networks whose bare LF is normalized, from the next command of every
// session on. No session is dropped.
func (s *Server) Adjust(l Limits, t Timeouts, normalizeBareLF []netip.Prefix) {
	s.tuning.Store(&tuning{l.orDefault(), t.orDefault(), slices.Clone(normalizeBareLF)})
}

// limits are the limits that hold now.
func (s *Server) limits() *Limits { return &s.tuning.Load().limits }

// Stats returns what the server has seen so far.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	st := Stats{Open: len(s.open), Events: make(map[string]int64, eventCount)}
	s.mu.Unlock()
	for e := range eventCount {
		st.Events[e.String()] = s.counts[e].Load()
	}
	return st
}

// count counts an event.
func (s *Server) count(e Event) { s.counts[e].Add(1) }

// pace is the column of timeouts that holds now.
func (s *Server) pace() *Pace {
	t := s.tuning.Load()
	if s.cfg.Stress() {
		return &t.timeouts.Stress
	}
	return &t.timeouts.Normal
}

// Serve takes connections from l until Shutdown, which makes it return nil, or until ctx ends, which cuts l's
// sessions and returns ctx's error. It closes l. An error of the listener other than a lack of files or memory, which
// is waited out, is returned.
func (s *Server) Serve(ctx context.Context, l net.Listener, opts ListenerOptions) error {
	if !s.addListener(l) {
		return errors.Join(net.ErrClosed, l.Close())
	}
	defer s.dropListener(l)
	watch, unwatchStress := context.WithCancel(ctx)
	defer unwatchStress()
	go s.watchStress(watch)
	unwatch := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer unwatch()
	provider := opts.Certificates
	if provider == nil {
		provider = s.cfg.TLS
	}
	ln := &listener{opts: opts, tls: newTLSKeeper(provider)}
	spare := newSpare()
	defer spare.close()
	for wait := time.Duration(0); ; {
		nc, err := l.Accept()
		if err == nil {
			wait = 0
			s.accept(ctx, ln, nc)
			continue
		}
		if s.stopping() || errors.Is(err, os.ErrDeadlineExceeded) && s.park() {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		s.count(EventAcceptError)
		spare.refuse(l)
		wait = min(max(2*wait, 5*time.Millisecond), time.Second)
		if !sleep(ctx, s.stop, wait) && ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// sleep waits for d; it returns false if ctx ended or stop was closed before.
func sleep(ctx context.Context, stop <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-stop:
	}
	return false
}

// A listener is what the connections of one listener share.
type listener struct {
	opts ListenerOptions
	tls  *tlsKeeper
}

// accept starts the session of nc, or turns it away if there is no room at all.
func (s *Server) accept(ctx context.Context, ln *listener, nc net.Conn) {
	s.count(EventConnection)
	c := newConn(s, ln, nc)
	s.mu.Lock()
	n, draining := len(s.open), s.draining
	if n < s.limits().Connections && !draining {
		s.open[c] = struct{}{}
		s.mu.Unlock()
		c.ctx, c.cancel = context.WithCancel(ctx)
		s.cfg.Go(c.serve)
		return
	}
	s.mu.Unlock()
	r := ReplyShutdown()
	if !draining {
		s.count(EventConnLimit)
		r = ReplyOverload()
	}
	if ln.opts.TLS != TLSImplicit && len(ln.opts.ProxyProtocol) == 0 {
		_ = nc.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)) // the socket's buffer is empty: this never waits
		_, _ = nc.Write(appendReply(nil, r))
	}
	_ = nc.Close()
}

// reservedOnly reports whether so much is open that only reserved networks are served.
func (s *Server) reservedOnly() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.limits()
	return len(s.open) > l.Connections-l.Connections*min(l.Reserve, 100)/100
}

// Pause takes no more connections, which from then on wait in the sockets of the listeners; Shutdown is to follow. It
// returns once none is about to be taken.
func (s *Server) Pause() {
	s.mu.Lock()
	close(s.pause)
	for l := range s.listeners {
		if d, ok := l.(interface{ SetDeadline(time.Time) error }); ok {
			_ = d.SetDeadline(time.Unix(1, 0))
		}
	}
	s.mu.Unlock()
	for range 100 {
		s.mu.Lock()
		done := s.parked == len(s.listeners)
		s.mu.Unlock()
		if done {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// park waits for Shutdown if the server is paused, and reports whether it was.
func (s *Server) park() bool {
	select {
	case <-s.pause:
	default:
		return false
	}
	s.mu.Lock()
	s.parked++
	s.mu.Unlock()
	<-s.stop
	return true
}

// Shutdown stops all listeners, ends idle sessions with 421 4.3.2, and waits until the others are through with the
// message that they are sending. When ctx ends before, all that is left is cut off and ctx's error returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.draining {
		s.draining = true
		close(s.stop)
		if len(s.open) == 0 {
			close(s.empty)
		}
	}
	for l := range s.listeners {
		_ = l.Close()
	}
	for c := range s.open {
		c.drain()
	}
	s.mu.Unlock()
	select {
	case <-s.empty:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		c.cut()
	}
	return context.Cause(ctx)
}

// stopping reports whether Shutdown was called.
func (s *Server) stopping() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// forget takes c from the open connections.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
	if s.draining && len(s.open) == 0 {
		close(s.empty)
	}
}

// addListener takes l under Shutdown's care; false after Shutdown.
func (s *Server) addListener(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

// dropListener closes l and forgets it.
func (s *Server) dropListener(l net.Listener) {
	_ = l.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

// A spare is an open file that is given up to take and close one connection when no file is left: the client learns
// at once that it must come again, and the queue of the kernel does not fill with the dead.
type spare struct{ f *os.File }

// newSpare opens a spare file; without one it does nothing.
func newSpare() *spare {
	f, err := os.Open(os.DevNull)
	if err != nil {
		return &spare{}
	}
	return &spare{f}
}

// refuse takes one connection from l and closes it, if the spare file makes that possible.
func (s *spare) refuse(l net.Listener) {
	tl, ok := l.(*net.TCPListener)
	if !ok || s.f == nil {
		return
	}
	_ = s.f.Close()
	_ = tl.SetDeadline(time.Now().Add(time.Millisecond))
	if nc, err := tl.Accept(); err == nil {
		_ = nc.Close()
	}
	_ = tl.SetDeadline(time.Time{})
	s.f = newSpare().f
}

// close closes the spare file.
func (s *spare) close() {
	if s.f != nil {
		_ = s.f.Close()
	}
}
