package main

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// siegeTime is how long clean senders send, and cleanSenders how many there are.
const (
	siegeTime    = 30 * time.Second
	cleanSenders = 4
	cleanEvery   = 700 * time.Millisecond // one message of each; the shipped limit is 120 a minute
	flooders     = 10
)

// A count of what the besiegers met.
type besiegers struct {
	open, cut, refused, flooded, turned atomic.Int64
}

// siege lets slow writers hold connections, most of them in the middle of a command or of a message, floods the listener from
// a few addresses, and tells whether all mail of clean senders arrives.
func siege(ctx context.Context, o options) error {
	s, err := newScene(o.siege + o.siege/5)
	if err != nil {
		return err
	}
	defer s.close()
	time.Sleep(2 * time.Second) // what starting took is given back
	before := resident(s.pid)
	attack, stop := context.WithCancel(ctx)
	defer stop()
	var b besiegers
	var wg sync.WaitGroup
	for i := range o.siege {
		wg.Go(func() { b.crawl(attack, s.addr, i) })
	}
	for deadline := time.Now().Add(60 * time.Second); b.open.Load() < int64(o.siege*9/10) && time.Now().Before(deadline); {
		time.Sleep(100 * time.Millisecond)
	}
	fmt.Printf("%d slow writers of %d have a session; resident memory %.0f MiB, before %.0f MiB\n", b.open.Load(), o.siege, mib(resident(s.pid)), mib(before))
	for i := range flooders {
		wg.Go(func() { b.flood(attack, s.addr, net.IPv4(127, 240, byte(i), 1)) })
	}
	start := time.Now()
	sent, again, longest := s.clean(ctx)
	cpu, rss := usage(s.pid)
	fmt.Printf("besieged for %.0f s: %d slow writers cut off, %d refused; flood of %d connections, %d turned away; %.0f s of CPU, resident memory %.0f MiB\n",
		time.Since(start).Seconds(), b.cut.Load(), b.refused.Load(), b.flooded.Load(), b.turned.Load(), cpu, mib(rss))
	stop()
	wg.Wait()
	fmt.Printf("%d clean senders: %d messages sent, %d arrived, %d had to be tried again, the slowest took %.0f ms\n", cleanSenders, sent, s.sink.Count(), again, ms(longest))
	if int(sent) != s.sink.Count() {
		return fmt.Errorf("%d of %d messages arrived", s.sink.Count(), sent)
	}
	return nil
}

// crawl is one slow writer: it comes again as often as it is cut off.
func (b *besiegers) crawl(ctx context.Context, addr string, i int) {
	for ctx.Err() == nil {
		c, err := dial(ctx, addr, address(i/5))
		if err != nil {
			b.refused.Add(1)
			pause(ctx, time.Duration(5+i%10)*time.Second)
			continue
		}
		b.open.Add(1)
		b.drip(ctx, c, i)
		b.open.Add(-1)
		c.conn.Close()
		pause(ctx, time.Second)
	}
}

// drip writes a byte at a time: a command or, one in three, the content of a message.
func (b *besiegers) drip(ctx context.Context, c *client, i int) {
	if i%3 == 0 && c.say("EHLO slow.example", "250") == nil && c.say("MAIL FROM:<a@slow.example>", "250") == nil && c.say("RCPT TO:<bob@example.com>", "250") == nil {
		if c.say("DATA", "354") != nil {
			b.cut.Add(1)
			return
		}
	}
	for pause(ctx, time.Duration(1500+i%1000)*time.Millisecond) {
		if _, err := c.conn.Write([]byte("x")); err != nil {
			b.cut.Add(1)
			return
		}
	}
}

// flood connects as fast as it can from one address.
func (b *besiegers) flood(ctx context.Context, addr string, from net.IP) {
	for pause(ctx, 20*time.Millisecond) {
		b.flooded.Add(1)
		c, err := dial(ctx, addr, from)
		if err != nil {
			b.turned.Add(1)
			continue
		}
		time.AfterFunc(5*time.Second, func() { c.conn.Close() })
	}
}

// pause waits; it returns false once ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// clean lets the clean senders send, ten messages in a session, as mail servers do: what is not taken is tried again.
func (s *scene) clean(ctx context.Context) (sent, again int64, longest time.Duration) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	end := time.Now().Add(siegeTime)
	for i := range cleanSenders {
		wg.Go(func() {
			var c *client
			used := 0
			for n := 0; time.Now().Before(end) && ctx.Err() == nil; n++ {
				start, tries := time.Now(), 0
				for ctx.Err() == nil {
					var err error
					if c == nil || used == 10 {
						if c != nil {
							c.conn.Close()
						}
						used = 0
						if c, err = dial(ctx, s.addr, net.IPv4(127, 0, byte(10+i), 1)); err == nil {
							err = c.say("EHLO clean.example", "250")
						}
					}
					if err == nil {
						err = c.deliver(s.letters[(n*cleanSenders+i)%len(s.letters)])
					}
					if err == nil {
						used++
						break
					}
					if c != nil {
						c.conn.Close()
						c = nil
					}
					tries++
					pause(ctx, time.Second)
				}
				mu.Lock()
				sent, again, longest = sent+1, again+int64(min(tries, 1)), max(longest, time.Since(start))
				mu.Unlock()
				pause(ctx, cleanEvery)
			}
			if c != nil {
				c.conn.Close()
			}
		})
	}
	wg.Wait()
	return sent, again, longest
}
