package icap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/rules/conf"
)

// Config is the filter's section. Without an address there is no server to ask and the filter does not run.
type Config struct {
	Address     Address       `yaml:"address" doc:"icap://HOST:PORT/SERVICE, or icaps:// for TLS; the port may be left out (1344, 11344). Without one, nobody is asked."`
	Method      string        `yaml:"method" default:"respmod" enum:"respmod|reqmod" doc:"Whether files are shown to the service as answers of a web server (respmod) or as uploads (reqmod)."`
	Timeout     time.Duration `yaml:"timeout" default:"15s" min:"100ms" max:"40s" doc:"How long all answers about one message may take together."`
	Connections int           `yaml:"connections" default:"8" min:"1" max:"1000" doc:"Most requests at once. The others wait their turn."`
	MaxBytes    conf.Size     `yaml:"max_bytes" default:"25MiB" min:"64KiB" max:"4GiB" doc:"Largest file that is sent. What is larger is unscannable, never clean."`
}

// An Address is where a service is.
type Address struct {
	URL    string // as written
	secure bool
	host   string // with port
}

// UnmarshalConf reads a URL.
func (a *Address) UnmarshalConf(n conf.Node) []conf.Problem {
	parsed, err := parseAddress(n.String())
	if err != nil {
		return []conf.Problem{n.Problemf("%v", err)}
	}
	*a = parsed
	return nil
}

// ConfType says what a document may write.
func (Address) ConfType() string { return "icap:// or icaps:// URL" }

// ConfSchema says what a document may write.
func (Address) ConfSchema() map[string]any {
	return map[string]any{"type": "string", "pattern": "^icaps?://"}
}

func parseAddress(s string) (Address, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "icap" && u.Scheme != "icaps" || strings.ContainsAny(s, " \r\n\t") {
		return Address{}, fmt.Errorf("expected icap://HOST:PORT/SERVICE or icaps://, found %q", s)
	}
	a := Address{URL: s, secure: u.Scheme == "icaps", host: u.Host}
	if u.Port() == "" {
		a.host = net.JoinHostPort(u.Hostname(), map[bool]string{false: "1344", true: "11344"}[a.secure])
	}
	return a, nil
}

// A Filter is the icap filter. It remembers only what the server says that it can do.
type Filter struct {
	cfg   Config
	slots chan struct{}
	roots *tls.Config

	mu      sync.Mutex
	options options
	asked   time.Time
}

// New makes the filter; nil if no address is configured. roots, if not nil, is who is trusted to vouch for an icaps:// server.
func New(cfg Config, roots *tls.Config) *Filter {
	if cfg.Address.URL == "" {
		return nil
	}
	return &Filter{cfg: cfg, roots: roots, slots: make(chan struct{}, max(cfg.Connections, 1))}
}

// maxStreams is how many streams one message may need.
const maxStreams = 200

// Check implements filters.Filter. An error means that nobody looked.
func (f *Filter) Check(ctx context.Context, m *mail.Mail) (filters.Facts, error) {
	var facts filters.Facts
	if err := m.Err(); err != nil {
		return facts, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, f.cfg.Timeout, fmt.Errorf("timeout after %s", conf.Duration(f.cfg.Timeout)))
	defer cancel()
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	case <-ctx.Done():
		return facts, fmt.Errorf("wait for a free connection: %w", context.Cause(ctx))
	}
	sent := 0
	for s := range filters.Streams(m.Message) {
		if sent++; sent > maxStreams || s.Size > int64(f.cfg.MaxBytes) {
			say(&facts, "icap.unscannable.limit", "It is more than the ICAP server is given, so not all of it was seen.", s.Where, fmt.Sprintf("%d bytes, file number %d", s.Size, sent))
			if sent > maxStreams {
				break
			}
			continue
		}
		v, err := f.ask(ctx, s)
		if err != nil {
			return facts, err
		}
		switch {
		case v.threat != "":
			say(&facts, "icap.malware", "The ICAP server names a threat in it.", s.Where, v.threat)
		case v.blocked != "":
			say(&facts, "icap.blocked", "The ICAP server would not let it pass as it is.", s.Where, v.blocked)
		}
	}
	return facts, m.Err()
}

func say(facts *filters.Facts, code, text, where, what string) {
	facts.Findings = append(facts.Findings, filters.Finding{Code: code, Text: text, Proof: []filters.Evidence{{Where: where, What: mail.Printable(what, 120)}}})
}

// Conditions implements filters.Reporter: it asks the server now.
func (f *Filter) Conditions(ctx context.Context) []filters.Condition {
	wait := min(f.cfg.Timeout, 5*time.Second)
	ctx, cancel := context.WithTimeoutCause(ctx, wait, fmt.Errorf("timeout after %s", conf.Duration(wait)))
	defer cancel()
	c := filters.Condition{Name: "icap " + f.cfg.Address.URL}
	o, err := f.askOptions(ctx)
	if c.Err = err; err != nil {
		c.Down, c.Hint = true, "Start the ICAP server, and see that filters.icap.address names its service."
		return []filters.Condition{c}
	}
	c.Detail = mail.Printable(o.service, 100)
	if !o.allows(f.method()) {
		c.Err, c.Down, c.Hint = errors.New("the service does not take "+f.method()), true, "Say method: reqmod or respmod, as the service wants it."
	}
	return []filters.Condition{c}
}

// method is the ICAP method that is used.
func (f *Filter) method() string { return strings.ToUpper(f.cfg.Method) }
