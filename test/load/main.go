// Command load measures the mail path on one machine, in one run: a load generator, the system under test, a sink. It prints
// messages a second and CPU seconds per 1,000 messages of Gatepost beside Postfix as a before-queue proxy without any check,
// beside no system at all and, with -rspamd, beside Postfix with Rspamd. With -idle or -siege it shows how Gatepost bears crowds. Load goes to loopback only.
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
	allocs   string
	rspamd   bool
	alone    bool
	without  string
	held     int
	idle     int
	siege    int
	review   int
}

func main() {
	var o options
	flag.IntVar(&o.messages, "n", 3000, "messages in each run")
	flag.IntVar(&o.sessions, "s", 20, "sessions at once, one message a connection")
	flag.IntVar(&o.size, "size", 10<<10, "with -held: bytes of a message, about")
	flag.IntVar(&o.repeat, "repeat", 3, "runs of each system; the median is shown")
	flag.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile of gatepost here")
	flag.StringVar(&o.allocs, "allocprofile", "", "write here what gatepost allocated")
	flag.BoolVar(&o.rspamd, "rspamd", false, "measure Postfix with Rspamd as a milter as well, which must be installed")
	flag.BoolVar(&o.alone, "alone", false, "measure Gatepost alone, for profiles")
	flag.StringVar(&o.without, "without", "", "filters that gatepost shall not run, with commas between")
	flag.IntVar(&o.held, "held", 0, "instead: measure a restart with so many messages on hold, and their drain")
	flag.IntVar(&o.idle, "idle", 0, "instead: hold so many idle TLS sessions, and show the memory they take and how a new one is served")
	flag.IntVar(&o.siege, "siege", 0, "instead: let so many slow writers and a flood of connections loose while clean senders send")
	flag.IntVar(&o.review, "review", 0, "instead, measure the review pages with so many held messages")
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
	case o.review > 0:
		run = func(ctx context.Context, o options) error { return review(ctx, o.review) }
	}
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// A system is one thing that is measured: where to send, and whose CPU to count.
type system struct {
	name  string
	addr  string
	roots []int // of the process trees; none: nothing stands between
}

// A figure is the outcome of one run of one system.
type figure struct {
	rate     float64 // messages a second
	cpu      float64 // CPU seconds per 1,000 messages
	p50, p99 time.Duration
	memory   int64 // bytes resident after the run
}

// measure runs every system and prints the table.
func measure(ctx context.Context, o options) error {
	b, err := newBench(o)
	if err != nil {
		return err
	}
	defer b.close()
	bytes, most := 0, 0
	for _, l := range b.letters {
		bytes, most = bytes+len(l.wire), max(most, len(l.wire))
	}
	fmt.Printf("%d messages of %.1f KB on average, %.0f KB at most, %d sessions, one message a connection, %d runs each (median)\n\n",
		o.messages, float64(bytes)/float64(len(b.letters))/1000, float64(most)/1000, o.sessions, o.repeat)
	figures, err := b.measure(ctx)
	if err != nil {
		return err
	}
	fmt.Println("| system | messages/s | CPU s per 1,000 | p50 ms | p99 ms | memory MB |\n|---|---|---|---|---|---|")
	for i, f := range figures {
		cpu, memory := "–", "–"
		if len(b.systems[i].roots) > 0 {
			cpu, memory = fmt.Sprintf("%.2f", f.cpu), fmt.Sprintf("%.0f", float64(f.memory)/1e6)
		}
		fmt.Printf("| %s | %.0f | %s | %.1f | %.1f | %s |\n", b.systems[i].name, f.rate, cpu, ms(f.p50), ms(f.p99), memory)
	}
	fmt.Println("\nNo errors: every message was taken and arrived. Memory is resident, of what processes share each one's part.")
	ours := figures[len(figures)-1]
	for i, f := range figures[:len(figures)-1] {
		if len(b.systems[i].roots) > 0 {
			fmt.Printf("beside %q: %.2f times the messages a second, %.2f times the CPU\n", b.systems[i].name, ours.rate/f.rate, ours.cpu/f.cpu)
		}
	}
	if o.alone {
		return nil
	}
	return b.steady(ctx)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
