// Command load measures the mail path on one machine, in one run: a load generator, the system under test, a sink. It prints
// messages a second and CPU seconds per 1,000 messages of Gatepost beside Postfix as a before-queue proxy without any check
// and beside no system at all. With -idle or -siege it shows how Gatepost bears crowds. Load goes to loopback only.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

// options are the flags.
type options struct {
	messages int
	sessions int
	size     int
	repeat   int
	profile  string
	held     int
	idle     int
	siege    int
}

func main() {
	var o options
	flag.IntVar(&o.messages, "n", 3000, "messages in each run")
	flag.IntVar(&o.sessions, "s", 20, "sessions at once, one message a connection")
	flag.IntVar(&o.size, "size", 10<<10, "bytes of a message, about")
	flag.IntVar(&o.repeat, "repeat", 3, "runs of each system; the median is shown")
	flag.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile of gatepost here")
	flag.IntVar(&o.held, "held", 0, "instead: measure a restart with so many messages on hold, and their drain")
	flag.IntVar(&o.idle, "idle", 0, "instead: hold so many idle TLS sessions, and show the memory they take and how a new one is served")
	flag.IntVar(&o.siege, "siege", 0, "instead: let so many slow writers and a flood of connections loose while clean senders send")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	run := measure
	switch {
	case o.idle > 0:
		run = hold
	case o.siege > 0:
		run = siege
	case o.held > 0:
		run = func(context.Context, options) error { return backlog(o.held, o.size) }
	}
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// A system is one thing that is measured: where to send, and whose CPU to count.
type system struct {
	name string
	addr string
	pid  int // root of the process tree; 0: nothing stands between
	note string
}

// A figure is the outcome of one run of one system.
type figure struct {
	rate     float64 // messages a second
	cpu      float64 // CPU seconds per 1,000 messages
	p50, p99 time.Duration
	rss      int64 // bytes resident after the run
	errors   int
}

// measure runs every system and prints the table.
func measure(ctx context.Context, o options) error {
	b, err := newBench(o)
	if err != nil {
		return err
	}
	defer b.close()
	fmt.Printf("%d messages of about %d bytes, %d sessions, one message a connection, %d runs each (median)\n\n", o.messages, o.size, o.sessions, o.repeat)
	fmt.Printf("%-52s %10s %12s %9s %9s %8s %7s\n", "system", "messages/s", "CPU s/1000", "p50 ms", "p99 ms", "RSS MB", "errors")
	for _, s := range b.systems {
		f, err := b.median(ctx, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Printf("%-52s %10.0f %12.2f %9.1f %9.1f %8.0f %7d\n", s.name, f.rate, f.cpu, ms(f.p50), ms(f.p99), float64(f.rss)/1e6, f.errors)
		if s.note != "" {
			fmt.Println("  " + s.note)
		}
	}
	return b.steady(ctx)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
