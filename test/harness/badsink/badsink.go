package badsink

import (
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"
)

// The steps at which a Script may interfere, named as the commands are.
const (
	Connect  = "CONNECT"  // before the banner
	Ehlo     = "EHLO"     // also HELO and LHLO
	StartTLS = "STARTTLS" // the reply to the command; the handshake follows a 220
	Mail     = "MAIL"
	Rcpt     = "RCPT"
	Data     = "DATA" // the command
	Body     = "BODY" // the first bytes of content have come
	Chunk    = "BDAT" // a chunk that is not the last
	Dot      = "DOT"  // the end of data, or the last chunk; over LMTP once per recipient
	Rset     = "RSET"
	Noop     = "NOOP"
	Quit     = "QUIT"
	Other    = "OTHER" // any other command, such as XFORWARD
)

// A Script says how a Sink behaves. The zero Script accepts everything in the ordinary way.
type Script struct {
	LMTP bool
	// Extensions are the keyword lines of the EHLO reply; nil stands for PIPELINING, SIZE, 8BITMIME, SMTPUTF8 and
	// ENHANCEDSTATUSCODES. STARTTLS is added while TLS is set and not yet on.
	Extensions []string
	// TLS offers STARTTLS with this configuration; see SelfSigned.
	TLS *tls.Config
	// Replies replaces the ordinary reply of a step, such as Rcpt: "550 5.1.1 no such user".
	Replies map[string]string
	// On, if set, is asked at every step first. A nil Action is the ordinary behaviour. It is called from the
	// goroutine of the session, so several sessions call it at once.
	On func(Event) *Action
	// Discard counts messages and keeps none, for load.
	Discard bool
	// Address to listen on; empty stands for a free port of 127.0.0.1.
	Address string
}

// An Event is one step of one session.
type Event struct {
	Session int    // counts from 1
	Message int    // transactions of this session that came before
	Step    string // one of the steps above
	Line    string // the command as it came, without its line end
	Rcpt    string // the recipient: at Rcpt, and at Dot over LMTP
	TLS     bool
	Open    int // connections to the sink that are open now, with this one
}

// An Action is what to do instead of the ordinary behaviour. Its parts happen in the order of the fields.
type Action struct {
	Delay time.Duration // wait first; ends early when the sink is closed
	Hang  bool          // say nothing any more, hold the connection until the peer or the sink closes it
	Reply string        // one reply, CRLF added unless it ends so; empty: none (at Dot the message counts as accepted then)
	Close bool          // close the connection
	Reset bool          // close it with a RST
}

// A Message is one delivery that the sink accepted.
type Message struct {
	Session int
	Number  int // transactions of its session that came before
	Helo    string
	From    string // the argument of MAIL FROM, without angle brackets
	Params  string // parameters of MAIL
	Rcpts   []string
	Data    []byte // the content, dots unstuffed
	TLS     bool
	// Stray tells that a bare CR, a bare LF or a NUL stood in the content.
	Stray bool
	// Chunks is in how many chunks it came; 0: by DATA.
	Chunks int
}

// A Sink is a running server.
type Sink struct {
	script Script
	ln     net.Listener
	done   chan struct{}
	wg     sync.WaitGroup

	mu       sync.Mutex
	messages []Message
	count    int
	sessions int
	lines    []string
	open     map[net.Conn]struct{}
	arrived  chan struct{} // closed and replaced at each message
	closed   bool
}

// Start listens and serves until Close.
func Start(script Script) (*Sink, error) {
	address := script.Address
	if address == "" {
		address = "127.0.0.1:0"
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("start sink: %w", err)
	}
	s := &Sink{
		script: script, ln: ln, done: make(chan struct{}),
		open: make(map[net.Conn]struct{}), arrived: make(chan struct{}),
	}
	s.wg.Go(s.accept)
	return s, nil
}

// Address is the host:port on which the sink listens.
func (s *Sink) Address() string { return s.ln.Addr().String() }

// Messages are the accepted messages, in order of acceptance.
func (s *Sink) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.messages...)
}

// Count is the number of accepted messages, also of those discarded.
func (s *Sink) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// Sessions is the number of connections ever accepted.
func (s *Sink) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions
}

// Open is the number of connections that are open now.
func (s *Sink) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// Lines are all command lines of all sessions, each with its session's number: "1 MAIL FROM:<a@b.example>". A
// discarding sink keeps none.
func (s *Sink) Lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.lines...)
}

// Wait returns true once n messages were accepted, or false after the patience given.
func (s *Sink) Wait(n int, patience time.Duration) bool {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		s.mu.Lock()
		count, arrived := s.count, s.arrived
		s.mu.Unlock()
		if count >= n {
			return true
		}
		select {
		case <-arrived:
		case <-timeout.C:
			return false
		}
	}
}

// Drop closes every open connection with a RST and goes on listening.
func (s *Sink) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		reset(c)
	}
}

// Close stops listening, closes every connection and waits for the sessions to end.
func (s *Sink) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.done)
	err := s.ln.Close()
	for c := range s.open {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return err
}

func (s *Sink) accept() {
	for {
		c, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			c.Close()
			return
		}
		s.sessions++
		n := s.sessions
		s.open[c] = struct{}{}
		s.mu.Unlock()
		s.wg.Go(func() {
			newSession(s, c, n).run()
			c.Close()
			s.mu.Lock()
			delete(s.open, c)
			s.mu.Unlock()
		})
	}
}

func (s *Sink) keep(m Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count++
	if !s.script.Discard {
		s.messages = append(s.messages, m)
	}
	close(s.arrived)
	s.arrived = make(chan struct{})
}

func (s *Sink) note(session int, line string) {
	if s.script.Discard {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf("%d %s", session, line))
}

// reset closes c so that the peer sees a RST.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.Close()
}
