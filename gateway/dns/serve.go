package dns

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	mdns "github.com/miekg/dns"
)

// A Server is a name server for one small zone on a free port of the loopback address, over UDP and TCP. It is for
// demonstrations and tests: every name that is not in the zone does not exist.
type Server struct {
	zone  atomic.Pointer[zone]
	addr  string
	udp   *mdns.Server
	tcp   *mdns.Server
	mu    sync.Mutex
	asked map[string]int // "name TYPE": how often
	total atomic.Int64
}

// ServeZone starts a server for a zone in text: one record a line, "name [TTL] TYPE value", such as
// "b.example TXT v=spf1 -all"; see parseZone for the special words TIMEOUT, SERVFAIL, REFUSED, TRUNCATED and DELAY.
func ServeZone(text string) (*Server, error) {
	z, err := parseZone(text)
	if err != nil {
		return nil, err
	}
	s := &Server{asked: map[string]int{}}
	s.zone.Store(z)
	pc, l, err := listenBoth()
	if err != nil {
		return nil, fmt.Errorf("serve zone: %w", err)
	}
	s.addr = pc.LocalAddr().String()
	s.udp = &mdns.Server{PacketConn: pc, Handler: handler{s, true}, UDPSize: 4096}
	s.tcp = &mdns.Server{Listener: l, Handler: handler{s, false}}
	for _, srv := range []*mdns.Server{s.udp, s.tcp} {
		started := make(chan struct{})
		srv.NotifyStartedFunc = func() { close(started) }
		failed := make(chan error, 1)
		go func() { failed <- srv.ActivateAndServe() }()
		select {
		case <-started:
		case err := <-failed:
			pc.Close()
			l.Close()
			return nil, fmt.Errorf("serve zone: %w", err)
		}
	}
	return s, nil
}

// listenBoth binds one free port of 127.0.0.1 for UDP and TCP.
func listenBoth() (net.PacketConn, net.Listener, error) {
	var last error
	for range 20 {
		pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			return nil, nil, err
		}
		l, err := net.Listen("tcp4", pc.LocalAddr().String())
		if err == nil {
			return pc, l, nil
		}
		pc.Close()
		last = err
	}
	return nil, nil, last
}

// Addr is the "host:port" at which the server answers.
func (s *Server) Addr() string { return s.addr }

// Set replaces the zone; what resolvers have cached stays cached.
func (s *Server) Set(text string) error {
	z, err := parseZone(text)
	if err == nil {
		s.zone.Store(z)
	}
	return err
}

// Asked is how often a question such as "b.example TXT" was received.
func (s *Server) Asked(question string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[question]
}

// Total is how many questions were received.
func (s *Server) Total() int { return int(s.total.Load()) }

// Questions lists what was asked, as "name TYPE", in no particular order.
func (s *Server) Questions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]string, 0, len(s.asked))
	for q := range s.asked {
		out = append(out, q)
	}
	return out
}

// Close stops the server.
func (s *Server) Close() error { return errors.Join(s.udp.Shutdown(), s.tcp.Shutdown()) }

// handler answers one transport's questions.
type handler struct {
	s   *Server
	udp bool
}

// maxAsked bounds the record of questions, so that a long demonstration does not grow.
const maxAsked = 10000

// ServeDNS answers one question.
func (h handler) ServeDNS(w mdns.ResponseWriter, q *mdns.Msg) {
	h.s.total.Add(1)
	if len(q.Question) == 1 {
		h.s.note(q.Question[0])
	}
	m, late := h.s.zone.Load().answer(q, h.udp)
	if m == nil {
		return
	}
	if opt := q.IsEdns0(); opt != nil {
		m.SetEdns0(opt.UDPSize(), false)
	}
	if h.udp {
		size := mdns.MinMsgSize
		if opt := q.IsEdns0(); opt != nil {
			size = int(opt.UDPSize())
		}
		m.Truncate(size)
	}
	time.Sleep(late)
	w.WriteMsg(m)
}

// note counts a question.
func (s *Server) note(q mdns.Question) {
	key := strings.ToLower(strings.TrimSuffix(q.Name, ".")) + " " + mdns.TypeToString[q.Qtype]
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) < maxAsked || s.asked[key] > 0 {
		s.asked[key]++
	}
}
