package faultproxy

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Faults say what happens to the bytes of one connection in one direction. The zero Faults pass them on.
type Faults struct {
	// CutAfter cuts the connection, both ways and with a RST, once so many bytes were passed; 0: never, negative: at
	// once.
	CutAfter int64
	// CutAt cuts it when these bytes are about to be passed, which they then are not: CutAt "250 2.0.0" swallows that
	// reply.
	CutAt []byte
	// Nth is which occurrence of CutAt cuts: 0 and 1 stand for the first.
	Nth   int
	Delay time.Duration // before each piece that is passed
	Split bool          // into single bytes, each a segment of its own
	Stall bool          // pass nothing, hold the connection
}

// A Plan gives the faults of the connection numbered n (from 1), towards the server and back from it.
type Plan func(n int) (up, down Faults)

// Always is the Plan with the same faults for each connection.
func Always(up, down Faults) Plan {
	return func(int) (Faults, Faults) { return up, down }
}

// A Proxy listens on a free port of 127.0.0.1 and passes on to one server.
type Proxy struct {
	server string
	ln     net.Listener
	plan   atomic.Pointer[Plan]
	wg     sync.WaitGroup
	done   chan struct{}
	once   sync.Once

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	count int
}

// Start listens for clients of server, a host:port. A nil plan passes everything on.
func Start(server string, plan Plan) (*Proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start proxy: %w", err)
	}
	p := &Proxy{server: server, ln: ln, done: make(chan struct{}), conns: make(map[net.Conn]struct{})}
	p.Change(plan)
	p.wg.Go(p.accept)
	return p, nil
}

// Address is where the proxy listens.
func (p *Proxy) Address() string { return p.ln.Addr().String() }

// Change puts another plan in force for the connections to come.
func (p *Proxy) Change(plan Plan) {
	if plan == nil {
		plan = Always(Faults{}, Faults{})
	}
	p.plan.Store(&plan)
}

// Connections is the number of connections so far.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

// Cut resets all connections that are open.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		reset(c)
	}
}

// Close cuts all connections and stops.
func (p *Proxy) Close() error {
	p.once.Do(func() { close(p.done) })
	err := p.ln.Close()
	p.Cut()
	p.wg.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		c, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.count++
		n := p.count
		p.conns[c] = struct{}{}
		p.mu.Unlock()
		p.wg.Go(func() { p.serve(c, n) })
	}
}

func (p *Proxy) serve(client net.Conn, n int) {
	defer p.forget(client)
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		reset(client)
		return
	}
	p.mu.Lock()
	p.conns[server] = struct{}{}
	p.mu.Unlock()
	defer p.forget(server)
	up, down := (*p.plan.Load())(n)
	var both sync.WaitGroup
	pass := func(to, from net.Conn, f Faults) {
		if p.pass(to, from, f) {
			reset(client)
			reset(server)
		} else if t, ok := to.(*net.TCPConn); ok {
			t.CloseWrite()
		}
	}
	both.Go(func() { pass(server, client, up) })
	both.Go(func() { pass(client, server, down) })
	both.Wait()
}

// pass copies until the end or the cut, and reports whether it is to be cut.
func (p *Proxy) pass(to, from net.Conn, f Faults) (cut bool) {
	if f.Stall {
		<-p.done
		return true
	}
	if f.CutAfter < 0 {
		return true
	}
	f.Nth = max(f.Nth, 1)
	var held []byte // what may be the beginning of CutAt
	passed := int64(0)
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		piece := append(held, b[:n]...)
		held = nil
		if len(f.CutAt) > 0 {
			if piece, held, cut = f.look(piece); cut {
				p.write(to, piece, f)
				return true
			}
			if err != nil {
				piece, held = append(piece, held...), nil
			}
		}
		if f.CutAfter > 0 && passed+int64(len(piece)) >= f.CutAfter {
			p.write(to, piece[:f.CutAfter-passed], f)
			return true
		}
		passed += int64(len(piece))
		if p.write(to, piece, f) != nil {
			return true
		}
		if err != nil {
			return err != io.EOF
		}
	}
}

// look divides piece into what may pass and what may still become CutAt, or finds the occurrence that cuts.
func (f *Faults) look(piece []byte) (pass, held []byte, cut bool) {
	from := 0
	for {
		at := bytes.Index(piece[from:], f.CutAt)
		if at < 0 {
			break
		}
		if f.Nth--; f.Nth == 0 {
			return piece[:from+at], nil, true
		}
		from += at + len(f.CutAt)
	}
	for k := min(len(f.CutAt)-1, len(piece)-from); k > 0; k-- {
		if bytes.HasSuffix(piece, f.CutAt[:k]) {
			return piece[:len(piece)-k], append([]byte(nil), piece[len(piece)-k:]...), false
		}
	}
	return piece, nil, false
}

func (p *Proxy) write(to net.Conn, piece []byte, f Faults) error {
	size := max(len(piece), 1)
	if f.Split {
		size = 1
	}
	for len(piece) > 0 {
		if f.Delay > 0 {
			select {
			case <-time.After(f.Delay):
			case <-p.done:
				return net.ErrClosed
			}
		}
		n := min(size, len(piece))
		if _, err := to.Write(piece[:n]); err != nil {
			return err
		}
		piece = piece[n:]
	}
	return nil
}

func (p *Proxy) forget(c net.Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.Close()
}
