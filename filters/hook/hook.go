package hook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/filters/peer"
	"gatepost/rules/conf"
)

// Config is the filter's section. Without a URL there is nobody to ask and the filter does not run.
type Config struct {
	URL         string            `yaml:"url" doc:"Where the document is posted: https://…, or http:// or unix:/path on this machine. Without one, nobody is asked."`
	Secret      conf.Secret       `yaml:"secret" doc:"Sent as a bearer token, so that the service knows that it is you."`
	CA          conf.Path         `yaml:"ca" doc:"PEM file of who vouches for the service; default: whom the system trusts."`
	Send        string            `yaml:"send" default:"header" enum:"facts|header|message" doc:"How much the service is given: the envelope and what was found (facts), also the header fields (header), also the message as it came (message)."`
	Codes       map[string]string `yaml:"codes" default:"{}" doc:"What the service may find, by names of letters, digits and hyphens, each with one sentence that explains it. NAME becomes the finding hook.NAME, which the policy weighs."`
	Timeout     time.Duration     `yaml:"timeout" default:"10s" min:"100ms" max:"40s" doc:"How long the answer may take."`
	Connections int               `yaml:"connections" default:"8" min:"1" max:"1000" doc:"Most messages at once. The others wait their turn."`
	MaxBytes    conf.Size         `yaml:"max_bytes" default:"25MiB" min:"1KiB" max:"1GiB" doc:"Largest message that is sent as it came."`
}

// CheckConf looks for a URL that would show mail to the network, and for findings that cannot be named.
func (c *Config) CheckConf(n conf.Node) (problems []conf.Problem) {
	if c.URL != "" {
		s, err := peer.ParseURL(c.URL)
		switch {
		case err != nil:
			problems = append(problems, n.Key("url").Problemf("%v", err))
		case !s.Secure && !s.Local:
			problems = append(problems, n.Key("url").Problemf("mail would go through the network in clear text; say https://"))
		}
	}
	if len(c.Codes) > maxCodes {
		problems = append(problems, n.Key("codes").Problemf("at most %d findings can be declared", maxCodes))
	}
	for name, meaning := range c.Codes {
		if at := n.Key("codes").Key(name); !isName(name) {
			problems = append(problems, at.Problemf("%q has other characters than a to z, 0 to 9 and hyphens, or more than %d", name, maxName))
		} else if meaning == "" || len(meaning) > maxText {
			problems = append(problems, at.Problemf("%q needs a sentence of at most %d bytes that explains it", name, maxText))
		}
	}
	return problems
}

// The bounds of what is declared and answered.
const (
	maxCodes    = 100
	maxName     = 40
	maxText     = 300
	maxReply    = 64 << 10
	maxFindings = 32 // in one answer
	maxEvidence = 8  // of one finding
	maxProof    = 200
)

// isName reports whether s can be part of a finding's code.
func isName(s string) bool {
	return s != "" && len(s) <= maxName && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// A Filter is the hook filter. It remembers only how the service is.
type Filter struct {
	cfg    Config
	site   peer.Site
	peer   *peer.Peer
	client *http.Client
}

// New makes the filter; nil if no URL is configured. It fails if the file of who vouches for the service cannot be read.
func New(cfg Config) (*Filter, error) {
	if cfg.URL == "" {
		return nil, nil
	}
	s, err := peer.ParseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	roots, err := trusted(string(cfg.CA))
	if err != nil {
		return nil, err
	}
	return &Filter{cfg: cfg, site: s, peer: peer.New("hook "+cfg.URL, "", "", cfg.Connections), client: peer.Client(s, cfg.Connections, roots)}, nil
}

// trusted reads who vouches for the service; nil: whom the system trusts.
func trusted(file string) (*tls.Config, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read filters.hook.ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("filters.hook.ca holds no certificate")
	}
	return &tls.Config{RootCAs: pool}, nil
}

// Check implements filters.Filter.
func (f *Filter) Check(ctx context.Context, m *mail.Mail) (filters.Facts, error) {
	return f.Follow(ctx, m, filters.Report{})
}

// Follow implements filters.Follower. An error means that the service did not look, or that nobody knows what it said.
func (f *Filter) Follow(ctx context.Context, m *mail.Mail, before filters.Report) (filters.Facts, error) {
	var facts filters.Facts
	if err := m.Err(); err != nil {
		return facts, err
	}
	d := describe(m, before, f.cfg.Send != sendFacts)
	var raw mail.Source
	if f.cfg.Send == sendMessage {
		if size := m.Source.Size(); size <= int64(f.cfg.MaxBytes) {
			raw = m.Source
		} else {
			d.Omitted = true
			proof := filters.Evidence{Where: "message", What: fmt.Sprintf("%d bytes, more than max_bytes %d", size, f.cfg.MaxBytes)}
			facts.Findings = append(facts.Findings, filters.State(Codes(), "hook.unscannable.limit", proof))
		}
	}
	ctx, cancel := peer.Within(ctx, f.cfg.Timeout)
	defer cancel()
	leave, err := f.peer.Enter(ctx)
	if err != nil {
		return facts, err
	}
	defer leave()
	found, err := f.ask(ctx, d, raw)
	f.peer.Note(ctx, err)
	facts.Findings = append(facts.Findings, found...)
	if err != nil {
		err = f.peer.Told(ctx, "ask", err)
	}
	return facts, err
}

// How much the service is given.
const (
	sendFacts   = "facts"
	sendMessage = "message"
)

// Conditions implements filters.Reporter: it posts a document that is about no message and wants no findings.
func (f *Filter) Conditions(ctx context.Context) []filters.Condition {
	return peer.Conditions(ctx, []*peer.Peer{f.peer}, f.cfg.Timeout, func(ctx context.Context, _ int) filters.Condition {
		found, err := f.ask(ctx, document{Version: version, Probe: true}, nil)
		if err == nil && len(found) > 0 {
			err = errors.New("it finds something in no message")
		}
		if err != nil {
			return filters.Condition{Err: f.peer.Told(ctx, "ask", err), Down: true, Hint: "Start the service, and see that it answers filters.hook.url as filters/hook/README.md says, documents with probe: true as well."}
		}
		return filters.Condition{Detail: "answers"}
	})
}
