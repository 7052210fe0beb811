package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A letter is one message ready for the wire: dots stuffed, with the final dot.
type letter struct {
	from string
	to   string
	helo string
	ip   string // client address on loopback
	wire []byte
}

// play sends n letters over s sessions at once, a connection each, and returns the latencies, in rising order, and the first
// error.
func play(ctx context.Context, addr string, letters []letter, n, s int) ([]time.Duration, error) {
	var next atomic.Int64
	var first atomic.Pointer[error]
	took := make([]time.Duration, n)
	var wg sync.WaitGroup
	for range s {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n || ctx.Err() != nil {
					return
				}
				start := time.Now()
				if err := send(ctx, addr, letters[i%len(letters)]); err != nil {
					first.CompareAndSwap(nil, &err)
				}
				took[i] = time.Since(start)
			}
		})
	}
	wg.Wait()
	sort.Slice(took, func(i, j int) bool { return took[i] < took[j] })
	if p := first.Load(); p != nil {
		return took, *p
	}
	return took, ctx.Err()
}

// send delivers one letter over a connection of its own, command by command.
func send(ctx context.Context, addr string, l letter) error {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(l.ip)}}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(60 * time.Second))
	r := bufio.NewReader(conn)
	if err := reply(r, "220"); err != nil {
		return err
	}
	steps := []struct{ say, want string }{
		{"EHLO " + l.helo + "\r\n", "250"}, {"MAIL FROM:<" + l.from + ">\r\n", "250"},
		{"RCPT TO:<" + l.to + ">\r\n", "250"}, {"DATA\r\n", "354"},
	}
	for _, s := range steps {
		if _, err := conn.Write([]byte(s.say)); err != nil {
			return err
		}
		if err := reply(r, s.want); err != nil {
			return fmt.Errorf("%s: %w", strings.TrimSpace(s.say), err)
		}
	}
	if _, err := conn.Write(l.wire); err != nil {
		return err
	}
	if err := reply(r, "250"); err != nil {
		return fmt.Errorf("end of data: %w", err)
	}
	if _, err := conn.Write([]byte("QUIT\r\n")); err != nil {
		return err
	}
	return reply(r, "221")
}

// reply reads one reply and wants its code.
func reply(r *bufio.Reader, want string) error {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		if len(line) >= 4 && line[3] == '-' {
			continue
		}
		if !strings.HasPrefix(line, want) {
			return errors.New(strings.TrimSpace(line))
		}
		return nil
	}
}
