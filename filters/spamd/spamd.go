package spamd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/filters/peer"
	"gatepost/rules/conf"
)

// Config is the filter's section. Without an address there is no daemon to ask and the filter does not run.
type Config struct {
	Address     peer.Addresses `yaml:"address" doc:"Where spamd listens: HOST:783 or unix:/path, or a list of such, asked in order until one answers. Without one, nobody is asked."`
	User        string         `yaml:"user" doc:"Whose preferences and learned words spamd uses; empty: its own."`
	Timeout     time.Duration  `yaml:"timeout" default:"15s" min:"100ms" max:"40s" doc:"How long the answer may take. Several daemons share it."`
	Connections int            `yaml:"connections" default:"5" min:"1" max:"1000" doc:"Most messages at once to one spamd; no more than its max-children. The others wait their turn."`
	MaxBytes    conf.Size      `yaml:"max_bytes" default:"512KiB" min:"16KiB" max:"64MiB" doc:"Largest message that is sent. What is larger SpamAssassin does not see."`

	Hostname string `yaml:"-"` // ours
}

// CheckConf looks for a user who could be taken for more than a name.
func (c *Config) CheckConf(n conf.Node) []conf.Problem {
	if len(c.User) > 100 || strings.ContainsFunc(c.User, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return []conf.Problem{n.Key("user").Problemf("a user is at most 100 printable ASCII characters without blanks")}
	}
	return nil
}

// A Filter is the spamd filter. It remembers only how its daemons are.
type Filter struct {
	cfg   Config
	peers []*peer.Peer
}

// New makes the filter; nil if no address is configured.
func New(cfg Config) *Filter {
	if len(cfg.Address) == 0 {
		return nil
	}
	f := &Filter{cfg: cfg}
	for _, a := range cfg.Address {
		if network, address, err := peer.Place(a); err == nil { // it was checked when it was read
			f.peers = append(f.peers, peer.New("spamd "+a, network, address, cfg.Connections))
		}
	}
	return f
}

// Check implements filters.Filter. An error means that SpamAssassin did not look.
func (f *Filter) Check(ctx context.Context, m *mail.Mail) (filters.Facts, error) {
	if err := m.Err(); err != nil {
		return filters.Facts{}, err
	}
	if size := m.Source.Size(); size > int64(f.cfg.MaxBytes) {
		return found("spamd.unscannable.limit", filters.Evidence{Where: "message", What: fmt.Sprintf("%d bytes, more than max_bytes %d", size, f.cfg.MaxBytes)}), nil
	}
	return peer.First(ctx, f.peers, f.cfg.Timeout, func(ctx context.Context, i int) (filters.Facts, error) {
		p := f.peers[i]
		a, err := f.ask(ctx, p, m)
		p.Note(ctx, err)
		if err != nil {
			return filters.Facts{}, p.Told(ctx, "ask", err)
		}
		return judge(p.Name(), a), nil
	})
}

// judge states what SpamAssassin thinks. Its evidence are the score and the tests that hit.
func judge(who string, a answer) filters.Facts {
	code := "spamd.ham"
	switch {
	case a.spam && a.required > 0 && a.score >= 2*a.required:
		code = "spamd.spam-high"
	case a.spam:
		code = "spamd.spam"
	}
	proof := []filters.Evidence{{Where: who, What: fmt.Sprintf("score %.1f of %.1f", a.score, a.required)}}
	if len(a.tests) > 0 {
		proof = append(proof, filters.Evidence{Where: "spamd tests", What: listed(a.tests)})
	}
	return found(code, proof...)
}

// listed are names in one line of evidence, and how many more there are.
func listed(names []string) string {
	const most = 180 // octets
	line := ""
	for i, name := range names {
		if len(line)+len(name)+2 > most {
			return fmt.Sprintf("%s and %d more", line, len(names)-i)
		}
		if line != "" {
			line += ", "
		}
		line += name
	}
	return line
}

// found is one finding.
func found(code string, proof ...filters.Evidence) filters.Facts {
	return filters.Facts{Findings: []filters.Finding{filters.State(Codes(), code, proof...)}}
}

// Conditions implements filters.Reporter: it asks every daemon now.
func (f *Filter) Conditions(ctx context.Context) []filters.Condition {
	return peer.Conditions(ctx, f.peers, f.cfg.Timeout, func(ctx context.Context, i int) filters.Condition {
		if err := ping(ctx, f.peers[i]); err != nil {
			return filters.Condition{Err: f.peers[i].Told(ctx, "ask", err), Down: true, Hint: "Start spamd, and see that filters.spamd.address is where it listens and that it lets the gateway ask (--allowed-ips)."}
		}
		return filters.Condition{Detail: "answers"}
	})
}
