package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"gatepost/gateway/dns"
	"gatepost/test/harness/badsink"
)

// crowdConfig has the shipped limits but for the number of connections; nobody is trusted.
const crowdConfig = `version: 1
hostname: mx.load.example
data_dir: %[1]s/data
listeners:
  - {address: "127.0.0.1:0", tls: offered}
domains:
  - {name: example.com, downstream: ["%[2]s"], downstream_tls: "off", recipients: any}
dns: {servers: ["%[3]s"]}
admin: {address: "127.0.0.1:0"}
limits: {connections: %[4]d}
timeouts: {greet_delay: 0s}
`

// A scene is a gateway with a sink and a name server, for a crowd.
type scene struct {
	gateway
	sink    *badsink.Sink
	letters []letter
	stops   []func()
}

// newScene starts one that takes so many connections.
func newScene(connections int) (*scene, error) {
	s := &scene{}
	err := s.start(connections)
	if err != nil {
		s.close()
	}
	return s, err
}

func (s *scene) start(connections int) error {
	dir, err := os.MkdirTemp("", "gatepost-crowd-")
	if err != nil {
		return err
	}
	s.stops = append(s.stops, func() { os.RemoveAll(dir) })
	var zone string
	if s.letters, zone, err = writeLetters(100, faultless); err != nil {
		return err
	}
	server, err := dns.ServeZone(zone)
	if err != nil {
		return err
	}
	s.stops = append(s.stops, func() { server.Close() })
	if s.sink, err = badsink.Start(badsink.Script{}); err != nil {
		return err
	}
	s.stops = append(s.stops, func() { s.sink.Close() })
	s.gateway, err = launch(dir, fmt.Sprintf(crowdConfig, dir, s.sink.Address(), server.Addr(), connections))
	if err == nil {
		s.stops = append(s.stops, s.gateway.stop)
	}
	return err
}

// close ends everything, last started first.
func (s *scene) close() {
	for i := len(s.stops) - 1; i >= 0; i-- {
		s.stops[i]()
	}
}

// address spreads clients over loopback networks, five to a /24, so that no client is more than a client.
func address(i int) net.IP { return net.IPv4(127, byte(1+i/5/250), byte(i/5%250), byte(1+i%5)) }

// A client is one SMTP connection.
type client struct {
	conn net.Conn
	r    *bufio.Reader
}

// dial connects from an address of loopback and reads the banner.
func dial(ctx context.Context, addr string, from net.IP) (*client, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}, Timeout: 60 * time.Second}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &client{conn, bufio.NewReaderSize(conn, 1024)}
	if err := c.hear("220"); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// hear reads a reply and wants its code.
func (c *client) hear(want string) error {
	c.conn.SetReadDeadline(time.Now().Add(60 * time.Second))
	return reply(c.r, want)
}

// say sends a line and wants a reply.
func (c *client) say(line, want string) error {
	if _, err := c.conn.Write([]byte(line + "\r\n")); err != nil {
		return err
	}
	return c.hear(want)
}

// secure goes as far as EHLO under TLS.
func (c *client) secure() error {
	if err := errors.Join(c.say("EHLO client.example", "250"), c.say("STARTTLS", "220")); err != nil {
		return err
	}
	t := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	if err := t.Handshake(); err != nil {
		return err
	}
	c.conn, c.r = t, bufio.NewReaderSize(t, 512)
	return c.say("EHLO client.example", "250")
}

// deliver sends a letter.
func (c *client) deliver(l letter) error {
	for _, s := range [][2]string{{"MAIL FROM:<" + l.from + ">", "250"}, {"RCPT TO:<" + l.to + ">", "250"}, {"DATA", "354"}} {
		if err := c.say(s[0], s[1]); err != nil {
			return fmt.Errorf("%s: %w", s[0], err)
		}
	}
	if _, err := c.conn.Write(l.wire); err != nil {
		return err
	}
	return c.hear("250")
}

// hold opens idle TLS sessions, shows what they cost and how new ones are served meanwhile.
func hold(ctx context.Context, o options) error {
	s, err := newScene(o.idle + o.idle/2)
	if err != nil {
		return err
	}
	defer s.close()
	time.Sleep(2 * time.Second) // what starting took is given back
	before := resident(s.pid)
	start := time.Now()
	sessions, failed, first := crowd(ctx, s.addr, o.idle)
	defer func() {
		for _, c := range sessions {
			c.conn.Close()
		}
	}()
	fmt.Printf("%d TLS sessions opened in %.0f s, %d failed\n", len(sessions), time.Since(start).Seconds(), failed)
	if failed > 0 {
		return first
	}
	after := resident(s.pid)
	fmt.Printf("resident memory of gatepost: %.0f MiB before, %.0f MiB with them: %.1f KiB a session\n", mib(before), mib(after), float64(after-before)/1024/float64(len(sessions)))
	var took []time.Duration
	for i := range 50 {
		start := time.Now()
		c, err := dial(ctx, s.addr, net.IPv4(127, 250, byte(i), 1))
		if err == nil {
			err = errors.Join(c.secure(), c.deliver(s.letters[i]))
			c.conn.Close()
		}
		if err != nil {
			return fmt.Errorf("a new session: %w", err)
		}
		took = append(took, time.Since(start))
	}
	sort.Slice(took, func(i, j int) bool { return took[i] < took[j] })
	fmt.Printf("50 new sessions meanwhile, from connection over handshake to 250 for a message: p50 %.0f ms, longest %.0f ms; %d arrived\n", ms(took[25]), ms(took[49]), s.sink.Count())
	time.Sleep(5 * time.Second)
	alive := 0
	for i, c := range sessions {
		if i%10 == 0 && c.say("NOOP", "250") == nil {
			alive++
		}
	}
	fmt.Printf("of every tenth session, %d of %d answer; resident memory then %.0f MiB\n", alive, (len(sessions)+9)/10, mib(resident(s.pid)))
	if after > 600<<20 {
		return fmt.Errorf("%.0f MiB are more than the 600 MiB that 10,000 may take", mib(after))
	}
	return nil
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// crowd opens n TLS sessions, a few at once.
func crowd(ctx context.Context, addr string, n int) (sessions []*client, failed int, first error) {
	var next atomic.Int64
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				c, err := dial(ctx, addr, address(i/5))
				if err == nil {
					err = c.secure()
				}
				mu.Lock()
				if err != nil {
					failed, first = failed+1, errors.Join(first, err)
				} else {
					sessions = append(sessions, c)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return sessions, failed, first
}
