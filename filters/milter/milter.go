package milter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/filters/peer"
	"gatepost/rules/conf"
)

// Config is the filter's section. Without milters there is nobody to ask and the filter does not run.
type Config struct {
	Milters     map[string]string `yaml:"milters" default:"{}" doc:"Milters by names of letters, digits and hyphens: each is unix:/path or HOST:PORT. All of them are asked. NAME becomes part of the findings: milter.reject.NAME and so on."`
	Timeout     time.Duration     `yaml:"timeout" default:"20s" min:"100ms" max:"40s" doc:"How long all answers of a milter about one message may take."`
	Connections int               `yaml:"connections" default:"8" min:"1" max:"1000" doc:"Most messages at once to one milter. The others wait their turn."`
	MaxBytes    conf.Size         `yaml:"max_bytes" default:"25MiB" min:"64KiB" max:"1GiB" doc:"Largest message that is shown. What is larger is unscannable, never clean."`

	Hostname string `yaml:"-"` // ours
}

// CheckConf looks for names that cannot be part of a finding, and for places where nobody can listen.
func (c *Config) CheckConf(n conf.Node) (problems []conf.Problem) {
	for name, address := range c.Milters {
		at := n.Key("milters").Key(name)
		if name == "" || len(name) > 40 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			problems = append(problems, at.Problemf("%q has other characters than a to z, 0 to 9 and hyphens, or more than 40", name))
		}
		if _, _, err := peer.Place(address); err != nil {
			problems = append(problems, at.Problemf("%v", err))
		}
	}
	return problems
}

// A Filter is the milter filter. It remembers only how its milters are.
type Filter struct {
	cfg   Config
	names []string
	peers []*peer.Peer // one for each name
}

// New makes the filter; nil if no milter is configured.
func New(cfg Config) *Filter {
	if len(cfg.Milters) == 0 {
		return nil
	}
	f := &Filter{cfg: cfg}
	for _, name := range slices.Sorted(maps.Keys(cfg.Milters)) {
		if network, address, err := peer.Place(cfg.Milters[name]); err == nil { // it was checked when it was read
			f.names = append(f.names, name)
			f.peers = append(f.peers, peer.New("milter "+name, network, address, cfg.Connections))
		}
	}
	return f
}

// Check implements filters.Filter: it shows the message to every milter at once. An error means that one of them did not look.
func (f *Filter) Check(ctx context.Context, m *mail.Mail) (filters.Facts, error) {
	var facts filters.Facts
	if err := m.Err(); err != nil {
		return facts, err
	}
	if why := f.cannotCarry(m); why != "" {
		facts.Findings = append(facts.Findings, filters.State(Codes(), "milter.unscannable.limit", filters.Evidence{Where: "message", What: why}))
		return facts, nil
	}
	found, errs := make([][]filters.Finding, len(f.peers)), make([]error, len(f.peers))
	var all sync.WaitGroup
	for i := range f.peers {
		all.Go(func() {
			defer func() { // a crash in here is not in the goroutine that the chain looks after
				if p := recover(); p != nil {
					errs[i] = fmt.Errorf("ask %s: crash: %v", f.peers[i].Name(), p)
				}
			}()
			found[i], errs[i] = f.ask(ctx, i, m)
		})
	}
	all.Wait()
	for _, list := range found {
		facts.Findings = append(facts.Findings, list...)
	}
	return facts, errors.Join(errs...)
}

// cannotCarry says why the protocol cannot carry the message as it is, or nothing: texts end at a NUL in it, and a packet that
// is no part of the body holds at most 64 KiB.
func (f *Filter) cannotCarry(m *mail.Mail) string {
	if size := m.Source.Size(); size > int64(f.cfg.MaxBytes) {
		return fmt.Sprintf("%d bytes, more than max_bytes %d", size, f.cfg.MaxBytes)
	}
	for _, h := range m.Header {
		switch {
		case len(h.Name)+len(h.Value)+3 > maxChunk:
			return fmt.Sprintf("a header field of %d bytes", len(h.Value))
		case strings.Contains(h.Name, "\x00") || strings.Contains(h.Value, "\x00"):
			return "a header field with NUL"
		}
	}
	return ""
}

// ask shows the message to one milter.
func (f *Filter) ask(ctx context.Context, i int, m *mail.Mail) ([]filters.Finding, error) {
	p := f.peers[i]
	ctx, cancel := peer.Within(ctx, f.cfg.Timeout)
	defer cancel()
	leave, err := p.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	conn, end, err := p.Dial(ctx)
	if err != nil {
		p.Note(ctx, err)
		return nil, err
	}
	defer end()
	s := f.session(conn, m)
	err = s.converse(m)
	p.Note(ctx, err)
	if err != nil {
		err = p.Told(ctx, "ask", err)
	}
	return s.findings(f.names[i]), err
}

// session begins a conversation about a message; m may be nil.
func (f *Filter) session(conn net.Conn, m *mail.Mail) *session {
	var e *mail.Envelope
	size := int64(0)
	if m != nil {
		e, size = m.Envelope, m.Source.Size()
	}
	return newSession(conn, macrosOf(f.cfg.Hostname, e), size)
}

// Conditions implements filters.Reporter: it negotiates with every milter now.
func (f *Filter) Conditions(ctx context.Context) []filters.Condition {
	return peer.Conditions(ctx, f.peers, f.cfg.Timeout, func(ctx context.Context, i int) filters.Condition {
		c := filters.Condition{Down: true, Hint: "Start the milter, and see that filters.milter.milters names where it listens and that the gateway may connect there."}
		conn, end, err := f.peers[i].Dial(ctx)
		if c.Err = err; err != nil {
			return c
		}
		defer end()
		s := f.session(conn, nil)
		if err = s.negotiate(); err == nil {
			err = s.quit()
		}
		if err != nil {
			c.Err = f.peers[i].Told(ctx, "ask", err)
			return c
		}
		return filters.Condition{Detail: fmt.Sprintf("speaks version %d", s.version)}
	})
}
