package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	mdns "github.com/miekg/dns"
)

// An upstream is where questions go: servers on the network, or a zone in memory.
type upstream interface {
	// exchange asks the server with this number once and returns its answer to this very question.
	exchange(ctx context.Context, server int, k key) (*mdns.Msg, error)
	// servers is how many there are.
	servers() int
	// local reports whether the server's word about authentic data can be taken: nobody sits between.
	local(server int) bool
}

// udpSize is what fits a packet everywhere without fragments (the DNS flag day 2020 figure).
const udpSize = 1232

// A network asks name servers over UDP, and over TCP when the answer did not fit.
type network struct {
	addrs   []string
	trusted map[netip.Addr]bool // besides those on this machine
	timeout time.Duration
	buffers sync.Pool
}

func (n *network) servers() int { return len(n.addrs) }

func (n *network) local(server int) bool {
	at, err := netip.ParseAddrPort(n.addrs[server])
	ip := at.Addr().Unmap()
	return err == nil && (ip.IsLoopback() || n.trusted[ip])
}

// question builds the message for k with a fresh random id.
func question(k key) *mdns.Msg {
	m := &mdns.Msg{}
	m.Id = mdns.Id()
	m.RecursionDesired = true
	m.AuthenticatedData = true // RFC 6840 section 5.7: tell us whether the answer is authentic
	m.Question = []mdns.Question{{Name: spelled(k.name), Qtype: k.qtype, Qclass: mdns.ClassINET}}
	m.SetEdns0(udpSize, false)
	return m
}

func (n *network) exchange(ctx context.Context, server int, k key) (*mdns.Msg, error) {
	q := question(k)
	packed, err := q.Pack()
	if err != nil {
		return nil, fmt.Errorf("pack question: %w", err)
	}
	m, err := n.overUDP(ctx, server, q, packed)
	if err == nil && m.Truncated {
		m, err = n.overTCP(ctx, server, q, packed)
	}
	return m, err
}

// overUDP sends the question from a port of its own. Whatever arrives there that does not answer this question, by
// id, name, type and class, is ignored until time runs out: it may be forged (L-03).
func (n *network) overUDP(ctx context.Context, server int, q *mdns.Msg, packed []byte) (*mdns.Msg, error) {
	conn, err := n.dial(ctx, "udp", server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := conn.Write(packed); err != nil {
		return nil, err
	}
	buf, _ := n.buffers.Get().(*[4096]byte)
	if buf == nil {
		buf = new([4096]byte)
	}
	defer n.buffers.Put(buf)
	for {
		size, err := conn.Read(buf[:])
		if err != nil {
			return nil, err
		}
		if m := answers(q, buf[:size]); m != nil {
			return m, nil
		}
	}
}

func (n *network) overTCP(ctx context.Context, server int, q *mdns.Msg, packed []byte) (*mdns.Msg, error) {
	conn, err := n.dial(ctx, "tcp", server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, len(packed)+2), uint16(len(packed)))
	if _, err := conn.Write(append(framed, packed...)); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	buf := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, buf); err != nil {
		return nil, err
	}
	if m := answers(q, buf); m != nil {
		return m, nil
	}
	return nil, errors.New("answer to another question")
}

// dial connects with the deadline of one try.
func (n *network) dial(ctx context.Context, kind string, server int) (net.Conn, error) {
	deadline := time.Now().Add(n.timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	d := net.Dialer{Deadline: deadline}
	conn, err := d.DialContext(ctx, kind, n.addrs[server])
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(deadline); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// answers unpacks a packet if it answers q, and returns nil if not. The library's parser must not be able to take
// the process down, whatever the packet holds (L-07).
func answers(q *mdns.Msg, packet []byte) (m *mdns.Msg) {
	if len(packet) < 12 || binary.BigEndian.Uint16(packet) != q.Id {
		return nil
	}
	defer func() {
		if recover() != nil {
			m = nil
		}
	}()
	m = new(mdns.Msg)
	if err := m.Unpack(packet); err != nil && !m.Truncated {
		return nil
	}
	if !m.Response || len(m.Question) != 1 {
		return nil
	}
	a, b := m.Question[0], q.Question[0]
	if a.Qtype != b.Qtype || a.Qclass != b.Qclass || !strings.EqualFold(a.Name, b.Name) {
		return nil
	}
	return m
}

// memory answers from a zone without any network.
type memory struct{ zone *zone }

func (m memory) servers() int   { return 1 }
func (m memory) local(int) bool { return true }

func (m memory) exchange(_ context.Context, _ int, k key) (*mdns.Msg, error) {
	r, _ := m.zone.answer(question(k), false)
	if r == nil {
		return nil, errNoAnswer
	}
	return r, nil
}

// errNoAnswer is a zone's TIMEOUT, without the wait.
var errNoAnswer = errors.New("no answer")
