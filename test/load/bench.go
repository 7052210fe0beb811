package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
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
trusted_networks: [127.0.0.0/8]
dns: {servers: ["%[3]s"]}
admin: {address: "127.0.0.1:0"}
limits: {messages_per_session: 100000}
timeouts: {greet_delay: 0s}
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
	if b.letters, zone, err = writeLetters(500, b.options.size); err != nil {
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
	b.systems = append(b.systems, system{name: "source to sink, nothing between", addr: sink})
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
	p, err := postfix.Launch(postfix.Config{Main: []string{
		"relay_domains = example.com", "relay_recipient_maps =", "smtpd_proxy_filter = " + sink, "smtpd_client_connection_rate_limit = 0",
		"message_size_limit = 52428800", "max_use = 10000", "smtpd_peername_lookup = no",
	}})
	if err != nil {
		return err
	}
	b.stop = append(b.stop, p.Stop)
	pid, err := p.Master()
	if err != nil {
		return err
	}
	b.systems = append(b.systems, system{name: "Postfix, before-queue proxy, no check", addr: p.Address, pid: pid})
	return nil
}

// gatepost starts the gateway.
func (b *bench) gatepost(sink string) error {
	var more []string
	if b.options.profile != "" {
		more = []string{"--cpuprofile", b.options.profile}
	}
	g, err := launch(b.dir, fmt.Sprintf(loadConfig, b.dir, sink, b.zone.Addr()), more...)
	if err != nil {
		return err
	}
	b.stop = append(b.stop, g.stop)
	b.systems = append(b.systems, system{
		name: "Gatepost, inline: SPF, DKIM, DMARC, ARC, structure …", addr: g.addr, pid: g.pid,
	})
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

// median runs a system several times, after a short warm-up, and takes the run with the middle rate.
func (b *bench) median(ctx context.Context, s system) (figure, error) {
	if _, _, err := play(ctx, s.addr, b.letters, 200, b.options.sessions); err != nil {
		return figure{}, err
	}
	var runs []figure
	for range b.options.repeat {
		f, err := b.run(ctx, s)
		if err != nil {
			return f, err
		}
		runs = append(runs, f)
	}
	sort.Slice(runs, func(i, j int) bool { return runs[i].rate < runs[j].rate })
	return runs[len(runs)/2], nil
}

// steady sends 5,000 messages of 5 KB with Postfix's smtp-source, twenty sessions at once, through the last system and says
// how many arrived and what became of its memory.
func (b *bench) steady(ctx context.Context) error {
	const total, rounds = 5000, 5
	s := b.systems[len(b.systems)-1]
	before := b.sunk()
	var rss []string
	for range rounds {
		cmd := exec.CommandContext(ctx, find("smtp-source"), "-s", "20", "-m", fmt.Sprint(total/rounds), "-l", "5120",
			"-f", "news@sender00.example", "-t", "bob@example.com", "-M", "client.example", s.addr)
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			return fmt.Errorf("smtp-source: %w: %s", err, out)
		}
		_, now := usage(s.pid)
		rss = append(rss, fmt.Sprintf("%.0f", float64(now)/1e6))
	}
	delivered := b.sunk() - before
	fmt.Printf("\nsmtp-source: %d messages of 5 KB in 20 sessions, %d arrived at smtp-sink, 0 errors; RSS after each fifth: %s MB\n", total, delivered, strings.Join(rss, ", "))
	if delivered != total {
		return fmt.Errorf("%d of %d messages arrived", delivered, total)
	}
	return nil
}

// sunk is how many messages smtp-sink says it has.
func (b *bench) sunk() int {
	time.Sleep(200 * time.Millisecond) // it shows its counter as it comes to it
	return b.taken.last()
}

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
	found := regexp.MustCompile(`mesg=(\d+)`).FindAllSubmatch(c.tail, -1)
	if len(found) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(string(found[len(found)-1][1]))
	return n
}

// run measures one run.
func (b *bench) run(ctx context.Context, s system) (figure, error) {
	n := b.options.messages
	before, _ := usage(s.pid)
	start := time.Now()
	took, failed, err := play(ctx, s.addr, b.letters, n, b.options.sessions)
	wall := time.Since(start)
	if err != nil {
		return figure{}, err
	}
	after, rss := usage(s.pid)
	return figure{
		rate: float64(n) / wall.Seconds(), cpu: (after - before) / float64(n) * 1000,
		p50: took[n/2], p99: took[n*99/100], rss: rss, errors: failed,
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
