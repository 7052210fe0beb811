package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"

	"gatepost/gateway/dns"
	"gatepost/test/harness/postfix"
)

// A bench is the set of systems and what they need.
type bench struct {
	options options
	dir     string
	letters []letter
	zone    *dns.Server
	stop    []func()
	systems []system
	taken   counter
}

const loadConfig = `version: 1
hostname: mx.load.example
data_dir: %[1]s/data
listeners:
  - {address: "127.0.0.1:0", tls: offered}
domains:
  - {name: example.com, downstream: ["%[2]s"], downstream_tls: "off", recipients: any}
dns: {servers: ["%[3]s"]}
admin: {address: "127.0.0.1:0"}
policy: policy.yaml
limits:
  {client_connections: 1000, network_connections: 1000, connects_per_minute: 10000000, messages_per_minute: 10000000,
   recipients_per_minute: 10000000, bytes_per_minute: 10GiB, network_share: 1000}
timeouts: {greet_delay: 0s}
`

// loadPolicy is the shipped policy, but for what it does with mail that it would hold or refuse: that is tagged, so that all
// systems pass on the same.
const loadPolicy = `version: 1
thresholds: {quarantine: off, reject: off}
rules:
  - {name: dmarc-reject, when: 'auth.dmarc == "fail" && auth.dmarc_disposition == "reject"', then: tag, class: phish, reason: The author's domain asks to refuse this.}
  - {name: dmarc-quarantine, when: 'auth.dmarc == "fail" && auth.dmarc_disposition == "quarantine"', then: {at_least: tag}, class: phish, reason: The author's domain asks to hold this.}
`

// newBench starts a sink, a name server, Postfix and Gatepost.
func newBench(o options) (*bench, error) {
	b := &bench{options: o}
	if err := b.start(); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) start() (err error) {
	if b.dir, err = os.MkdirTemp("", "gatepost-load-"); err != nil {
		return err
	}
	b.stop = append(b.stop, func() { os.RemoveAll(b.dir) })
	fmt.Fprintln(os.Stderr, "signing messages …")
	var zone string
	if b.letters, zone, err = writeLetters(1000, usual); err != nil {
		return err
	}
	if b.zone, err = dns.ServeZone(zone); err != nil {
		return err
	}
	b.stop = append(b.stop, func() { b.zone.Close() })
	sink, err := b.sink()
	if err != nil {
		return err
	}
	if b.options.alone {
		return b.gatepost(sink)
	}
	b.systems = append(b.systems, system{name: "source to sink, nothing between", addr: sink})
	if b.options.rspamd {
		if err := b.withRspamd(sink); err != nil {
			return err
		}
	}
	if err := b.postfix(sink); err != nil {
		return err
	}
	return b.gatepost(sink)
}

// sink starts Postfix's smtp-sink, which takes everything.
func (b *bench) sink() (string, error) {
	addr, err := freeAddress()
	if err != nil {
		return "", err
	}
	cmd := exec.Command(find("smtp-sink"), "-c", "-u", "nobody", addr, "1000")
	cmd.Stdout = &b.taken
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("start smtp-sink: %w", err)
	}
	b.stop = append(b.stop, func() { end(cmd) })
	return addr, reachable(addr)
}

// postfix starts Postfix as a before-queue proxy that checks nothing: what a gateway costs that only passes on.
func (b *bench) postfix(sink string) error {
	p, err := launchPostfix("smtpd_proxy_filter = " + sink)
	if err != nil {
		return err
	}
	b.stop = append(b.stop, p.Stop)
	pid, err := p.Master()
	if err != nil {
		return err
	}
	b.systems = append(b.systems, system{name: "Postfix, before-queue proxy, no check", addr: p.Address, roots: []int{pid}})
	return nil
}

// launchPostfix starts a Postfix for load, with more lines of main.cf.
func launchPostfix(more ...string) (*postfix.Postfix, error) {
	return postfix.Launch(postfix.Config{Main: append([]string{
		"relay_domains = example.com", "relay_recipient_maps =", "smtpd_client_connection_rate_limit = 0",
		"message_size_limit = 52428800", "max_use = 10000", "smtpd_peername_lookup = no",
	}, more...)})
}

// gatepost starts the gateway.
func (b *bench) gatepost(sink string) error {
	var more []string
	if b.options.profile != "" {
		more = append(more, "--cpuprofile", b.options.profile)
	}
	if b.options.allocs != "" {
		more = append(more, "--allocprofile", b.options.allocs)
	}
	if err := os.WriteFile(filepath.Join(b.dir, "policy.yaml"), []byte(loadPolicy), 0o600); err != nil {
		return err
	}
	name, config := "Gatepost, inline: all filters of the default", fmt.Sprintf(loadConfig, b.dir, sink, b.zone.Addr())
	if off := b.options.without; off != "" {
		name += " without " + off
		config += "filters:\n  " + strings.ReplaceAll(off, ",", ": {enabled: false}\n  ") + ": {enabled: false}\n"
	}
	g, err := launch(b.dir, config, more...)
	if err != nil {
		return err
	}
	b.stop = append(b.stop, g.stop)
	b.systems = append(b.systems, system{name: name, addr: g.addr, roots: []int{g.pid}})
	return nil
}

// A gateway is one running gatepost.
type gateway struct {
	addr string
	pid  int
	stop func()
}

// launch starts ./gatepost with a configuration and waits until it takes mail.
func launch(dir, config string, more ...string) (gateway, error) {
	path := filepath.Join(dir, "gatepost.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return gateway{}, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return gateway{}, err
	}
	cmd := exec.Command("./gatepost", append([]string{"serve", "-c", path}, more...)...)
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return gateway{}, err
	}
	if err := cmd.Start(); err != nil {
		return gateway{}, fmt.Errorf("start gatepost (make builds it): %w", err)
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	var ready struct{ SMTP []string }
	if err != nil || json.Unmarshal(line, &ready) != nil || len(ready.SMTP) == 0 {
		end(cmd)
		text, _ := os.ReadFile(log.Name())
		return gateway{}, fmt.Errorf("gatepost did not become ready: %s", text)
	}
	return gateway{ready.SMTP[0], cmd.Process.Pid, func() { end(cmd) }}, nil
}

// close ends everything, last started first.
func (b *bench) close() {
	for i := len(b.stop) - 1; i >= 0; i-- {
		b.stop[i]()
	}
}

// measure runs all systems in turn, several times, after a short warm-up of each, so that what else the machine does
// blurs all of them alike; of each it takes the run with the middle rate.
func (b *bench) measure(ctx context.Context) ([]figure, error) {
	runs := make([][]figure, len(b.systems))
	for round := range b.options.repeat + 1 {
		for i, s := range b.systems {
			n := b.options.messages
			if round == 0 {
				n = min(n, 200)
			}
			f, err := b.run(ctx, s, n)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
			if round > 0 {
				runs[i] = append(runs[i], f)
			}
		}
	}
	middle := make([]figure, len(runs))
	for i, r := range runs {
		sort.Slice(r, func(a, b int) bool { return r[a].rate < r[b].rate })
		middle[i] = r[len(r)/2]
	}
	return middle, nil
}

// steady sends 5,000 messages of 5 KB with Postfix's smtp-source, twenty sessions at once, through the last system and says
// how many arrived and what became of its memory.
func (b *bench) steady(ctx context.Context) error {
	const total, rounds = 5000, 5
	s := b.systems[len(b.systems)-1]
	before := b.taken.last()
	var memory []string
	for range rounds {
		cmd := exec.CommandContext(ctx, find("smtp-source"), "-s", "20", "-m", fmt.Sprint(total/rounds), "-l", "5120",
			"-f", "news@sender00.example", "-t", "bob@example.com", "-M", "client.example", s.addr)
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			return fmt.Errorf("smtp-source: %w: %s", err, out)
		}
		_, now := usage(s.roots...)
		memory = append(memory, fmt.Sprintf("%.0f", float64(now)/1e6))
	}
	delivered := b.arrived(ctx, before+total) - before
	fmt.Printf("\nsmtp-source: %d messages of 5 KB in 20 sessions, %d arrived at smtp-sink, 0 errors; memory after each fifth: %s MB\n", total, delivered, strings.Join(memory, ", "))
	if delivered != total {
		return fmt.Errorf("%d of %d messages arrived", delivered, total)
	}
	return nil
}

// arrived waits until smtp-sink has so many messages, or gets no more, and says how many it has.
func (b *bench) arrived(ctx context.Context, want int) int {
	last, moved := b.taken.last(), time.Now()
	for last < want && time.Since(moved) < stalled && ctx.Err() == nil {
		time.Sleep(2 * time.Millisecond)
		if now := b.taken.last(); now != last {
			last, moved = now, time.Now()
		}
	}
	return last
}

// stalled is how long nothing arrives before nothing is waited for.
const stalled = 15 * time.Second

// A counter reads the running count that smtp-sink -c shows.
type counter struct {
	mu   sync.Mutex
	tail []byte
}

// Write keeps the end of what is shown.
func (c *counter) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tail = append(c.tail, p...)
	c.tail = c.tail[max(0, len(c.tail)-400):]
	return len(p), nil
}

// last is the newest count.
func (c *counter) last() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	at := bytes.LastIndex(c.tail, []byte("mesg="))
	if at < 0 {
		return 0
	}
	for _, d := range c.tail[at+len("mesg="):] {
		if d < '0' || d > '9' {
			break
		}
		n = 10*n + int(d-'0')
	}
	return n
}

// run sends n messages and waits until all have arrived: a system that queues has not done its work before.
func (b *bench) run(ctx context.Context, s system, n int) (figure, error) {
	sunk := b.taken.last()
	before, _ := usage(s.roots...)
	start := time.Now()
	took, err := play(ctx, s.addr, b.letters, n, b.options.sessions)
	if err != nil {
		return figure{}, err
	}
	if got := b.arrived(ctx, sunk+n) - sunk; got != n {
		return figure{}, fmt.Errorf("%d of %d messages arrived", got, n)
	}
	wall := time.Since(start)
	after, memory := usage(s.roots...)
	return figure{
		rate: float64(n) / wall.Seconds(), cpu: (after - before) / float64(n) * 1000,
		p50: took[n/2], p99: took[n*99/100], memory: memory,
	}, nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// reachable waits until somebody listens.
func reachable(addr string) error {
	var last error
	for range 200 {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			return c.Close()
		}
		last = err
		time.Sleep(20 * time.Millisecond)
	}
	return last
}

// find looks where programs for administrators are, too.
func find(program string) string {
	for _, dir := range append(strings.Split(os.Getenv("PATH"), ":"), "/usr/sbin", "/sbin") {
		if path := filepath.Join(dir, program); dir != "" {
			if _, err := os.Stat(path); err == nil {
				return path
			}
		}
	}
	return program
}

// end stops a process by its id and waits for it.
func end(cmd *exec.Cmd) {
	cmd.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
	cmd.Wait()
	timer.Stop()
}
