package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/config"
	"gatepost/gateway/dns"
	"gatepost/gateway/journal"
	"gatepost/gateway/quarantine"
	"gatepost/gateway/smtp"
)

// demoCmd is `gatepost demo`.
type demoCmd struct {
	Once  bool   `help:"Send the messages, print what became of them, and end."`
	Admin string `default:"127.0.0.1:8025" help:"Where the review pages are served; a free port is taken if this one is in use."`
}

const demoConfig = `version: 1
hostname: mx.shop.example
timeouts: {greet_delay: 0s}
data_dir: data
listeners:
  - {address: "127.0.0.1:0", tls: offered}
domains:
  - {name: shop.example, downstream: ["%s"], downstream_tls: "off", recipients: any}
dns: {servers: ["%s"], timeout: 1s}
admin: {address: "%s"}
policy: policy.yaml
log: {level: error, format: text}
`

// Run shows the product: DNS, a sink as the mail server, the gateway as serve runs it, and mail of every kind.
func (c *demoCmd) Run(a *app) error {
	dir, err := os.MkdirTemp("", "gatepost-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d := &demo{dir: dir, out: a.out}
	if err := d.start(a, c.Admin); err != nil {
		d.close()
		return err
	}
	defer d.close()
	if err := d.show(a.ctx); err != nil {
		return err
	}
	if c.Once {
		return nil
	}
	fmt.Fprintf(a.out, "\nThe review pages are at http://%s/\n  login: %s   password: %s\nSMTP is at %s. Every command can look in from another shell:\n  gatepost explain -c %s %s\nStop with Ctrl-C; nothing is left behind.\n",
		d.service.webAddr, demoLogin, d.password, d.service.listeners[0].Addr(), filepath.Join(dir, "gatepost.yaml"), d.example)
	return d.stay(a.ctx)
}

// stay keeps everything up until ctx ends or the terminal that the demonstration was started from is gone. Without that,
// SIGHUP asks for a reload, as it does of serve.
func (d *demo) stay(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	hangups, asked := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	had := terminal()
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case s := <-hangups:
				if had && !terminal() {
					stop()
				}
				select {
				case asked <- s:
				default: // one is waiting already
				}
			}
		}
	}()
	_, err := d.service.tend(ctx, asked)
	return err
}

// terminal reports whether the process has a terminal that is still there.
func terminal() bool {
	f, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// demoLogin is the reviewer's account.
const demoLogin = "admin"

// A demo is the small world of the demonstration.
type demo struct {
	dir      string
	out      io.Writer
	key      ed25519.PrivateKey
	zone     *dns.Server
	sink     *sink
	service  *service
	password string
	example  string // id of a held message
}

// start brings the world up.
func (d *demo) start(a *app, adminAddr string) error {
	key, public, err := demoKey()
	if err != nil {
		return err
	}
	d.key = key
	if d.zone, err = dns.ServeZone(demoZone(public)); err != nil {
		return err
	}
	if d.sink, err = startSink(); err != nil {
		return err
	}
	if l, err := net.Listen("tcp", adminAddr); err != nil {
		adminAddr = "127.0.0.1:0"
	} else {
		l.Close()
	}
	path := filepath.Join(d.dir, "gatepost.yaml")
	text := fmt.Sprintf(demoConfig, d.sink.addr(), d.zone.Addr(), adminAddr)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(d.dir, "policy.yaml"), []byte("version: 1\n"), 0o600); err != nil {
		return err
	}
	cfg, problems := config.Load(path)
	if len(problems) > 0 {
		return a.complain(problems)
	}
	if d.service, err = startService(a, cfg); err != nil {
		return err
	}
	accounts, err := d.service.accounts(a.ctx)
	if err != nil {
		return err
	}
	d.password = d.service.setup // nobody else knows it and all is gone afterwards: it need not be changed first
	return accounts.SetPassword(a.ctx, demoLogin, d.password, false)
}

// show sends the letters and prints what became of them.
func (d *demo) show(ctx context.Context) error {
	letters, err := demoLetters(time.Now())
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "Gatepost stands before a mail server of its own on loopback. %d messages are sent to it:\n", len(letters))
	fmt.Fprintln(d.out)
	table := tabwriter.NewWriter(d.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "MESSAGE\tBECAME\tWHY\tREPLY TO THE CLIENT")
	for _, l := range letters {
		wire, err := l.wire(d.key)
		if err != nil {
			return err
		}
		before := d.sink.count()
		reply, err := deliver(ctx, d.service.listeners[0].Addr().String(), l, wire)
		if err != nil {
			return fmt.Errorf("send %q: %w", l.shows, err)
		}
		became, why := d.outcome(ctx, l, reply)
		if d.sink.count() > before {
			became = "delivered"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", l.shows, became, clip(why, 60), clip(reply, 60))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "\n%d messages arrived at the mail server. In quarantine:\n\n", d.sink.count())
	held, err := d.service.quarantine.List(ctx, quarantine.Query{})
	if err != nil {
		return err
	}
	if len(held) > 0 {
		d.example = held[0].ID
	}
	return printEntries(d.out, held)
}

// outcome looks up what became of a letter, by the sender that it came from, and the reason that decided.
func (d *demo) outcome(ctx context.Context, l demoLetter, reply string) (became, why string) {
	if err := d.service.journal.Sync(); err != nil {
		return "unknown", err.Error()
	}
	list, err := d.service.reader.Trace(ctx, journal.Query{Word: l.from, Limit: 1})
	if err != nil || len(list) == 0 || list[0].Decision == nil {
		return "refused", reply
	}
	rec := list[0]
	for _, f := range rec.Fates {
		became = f.Fate
	}
	if len(rec.Decision.Decided) > 0 {
		return became, strings.Join(rec.Decision.Decided, ", ")
	}
	return became, "score " + rec.Decision.Score.String()
}

// close takes the world down.
func (d *demo) close() {
	if d.service != nil {
		d.service.close()
	}
	if d.sink != nil {
		d.sink.close()
	}
	if d.zone != nil {
		d.zone.Close()
	}
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n-1] + "…"
	}
	return s
}

// deliver speaks SMTP as the letter's sender would and returns the first refusal, or the reply to the end of data.
func deliver(ctx context.Context, addr string, l demoLetter, wire []byte) (string, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(l.ip)}}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	r := bufio.NewReader(conn)
	say := func(line string) (string, error) {
		if line != "" {
			if _, err := io.WriteString(conn, line+"\r\n"); err != nil {
				return "", err
			}
		}
		for {
			reply, err := r.ReadString('\n')
			if err != nil {
				return "", err
			}
			if len(reply) < 4 || reply[3] != '-' {
				return strings.TrimSpace(reply), nil
			}
		}
	}
	for _, line := range []string{"", "EHLO " + l.helo, "MAIL FROM:<" + l.from + ">", "RCPT TO:<" + demoRcpt + ">", "DATA", string(wire) + "."} {
		reply, err := say(line)
		if err != nil {
			return "", err
		}
		if reply[0] != '2' && reply[0] != '3' || strings.HasSuffix(line, "\r\n.") {
			say("QUIT")
			return reply, nil
		}
	}
	return "", errors.New("no reply to the end of data")
}

// A sink is the demonstration's mail server: it takes everything and counts.
type sink struct {
	server   *smtp.Server
	listener net.Listener
	mu       sync.Mutex
	got      int
}

func startSink() (*sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{listener: l}
	s.server = smtp.NewServer(smtp.Config{Hostname: "mail.shop.example"}, s)
	go s.server.Serve(context.Background(), l, smtp.ListenerOptions{Name: "sink", TLS: smtp.TLSOff})
	return s, nil
}

func (s *sink) addr() string { return s.listener.Addr().String() }

func (s *sink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got
}

func (s *sink) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s.server.Shutdown(ctx)
}

// Connect implements smtp.Handler.
func (s *sink) Connect(context.Context, smtp.Peer) (smtp.Session, *smtp.Reply) { return s, nil }

// Hello, Mail, Rcpt, Data, Message, Reset, Refused and Close implement smtp.Session: everything is welcome.
func (s *sink) Hello(context.Context, smtp.Hello) (smtp.Capabilities, *smtp.Reply) {
	return smtp.Capabilities{Size: 64 << 20, EightBit: true, SMTPUTF8: true, MaxRcpts: 100}, nil
}
func (s *sink) Mail(context.Context, mail.Address, smtp.MailParams) *smtp.Reply { return nil }
func (s *sink) Rcpt(context.Context, mail.Address) *smtp.Reply                  { return nil }
func (s *sink) Data(context.Context) *smtp.Reply                                { return nil }

// Message counts one message.
func (s *sink) Message(_ context.Context, body io.Reader) *smtp.Reply {
	if _, err := io.Copy(io.Discard, body); err != nil {
		return smtp.ReplyLocalError()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got++
	return nil
}
func (s *sink) Reset()                                       {}
func (s *sink) Refused(context.Context, string, *smtp.Reply) {}
func (s *sink) Close()                                       {}
