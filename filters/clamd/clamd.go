package clamd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/filters/peer"
	"gatepost/rules/conf"
)

// Config is the filter's section. Without an address there is no daemon to ask and the filter does not run.
type Config struct {
	Address     Addresses     `yaml:"address" doc:"Where clamd listens: unix:/run/clamav/clamd.ctl or HOST:PORT, or a list of such, asked in order until one answers. Without one, nobody is asked."`
	Timeout     time.Duration `yaml:"timeout" default:"15s" min:"100ms" max:"40s" doc:"How long all answers about one message may take together."`
	Connections int           `yaml:"connections" default:"8" min:"1" max:"1000" doc:"Most streams at once to one clamd; no more than its MaxThreads. The others wait their turn."`
	MaxBytes    conf.Size     `yaml:"max_bytes" default:"25MiB" min:"64KiB" max:"4GiB" doc:"Largest stream; no more than clamd's StreamMaxLength. What is larger is unscannable, never clean."`
	Warn        time.Duration `yaml:"signatures_warn" default:"24h" doc:"Signatures older than this are marked on every message; 0: never."`
	Stale       time.Duration `yaml:"signatures_stale" default:"72h" doc:"Signatures older than this count as no scanner at all; 0: never."`
}

// Addresses are where daemons listen; a document writes one or a list.
type Addresses = peer.Addresses

// A Filter is the clamd filter. It remembers only how its daemons are.
type Filter struct {
	cfg     Config
	servers []*server
	peers   []*peer.Peer // the servers' own
	now     func() time.Time
}

// New makes the filter; nil if no address is configured.
func New(cfg Config) *Filter {
	if len(cfg.Address) == 0 {
		return nil
	}
	f := &Filter{cfg: cfg, now: time.Now}
	for _, a := range cfg.Address {
		network, address, err := peer.Place(a)
		if err != nil {
			continue // the configuration was checked when it was read
		}
		p := peer.New("clamd "+a, network, address, cfg.Connections)
		f.peers = append(f.peers, p)
		f.servers = append(f.servers, &server{Peer: p})
	}
	return f
}

// maxStreams is how many streams one message may need.
const maxStreams = 200

// Check streams the whole message, and then every file in it as our own parse reads it: clamd takes mail apart by its own
// rules, and what only one of the two finds must be seen all the same. An error means that nobody looked.
func (f *Filter) Check(ctx context.Context, m *mail.Mail) (filters.Facts, error) {
	if err := m.Err(); err != nil {
		return filters.Facts{}, err
	}
	return peer.First(ctx, f.peers, f.cfg.Timeout, func(ctx context.Context, i int) (filters.Facts, error) {
		q := &inquiry{f: f, s: f.servers[i]}
		if err := q.freshness(ctx); err != nil {
			return q.facts, err
		}
		return q.facts, q.streams(ctx, m)
	})
}

// An inquiry is what one daemon is asked about one message.
type inquiry struct {
	f     *Filter
	s     *server
	facts filters.Facts
}

// freshness fails for a daemon whose signatures are too old to be one, and marks those that are merely old.
func (q *inquiry) freshness(ctx context.Context) error {
	v, err := q.s.version(ctx, q.f.now())
	if err != nil || v.Signatures.IsZero() {
		return err
	}
	age := q.f.now().Sub(v.Signatures)
	if q.f.cfg.Stale > 0 && age > q.f.cfg.Stale {
		return fmt.Errorf("signatures are of %s, older than %s", v.Signatures.Format(time.DateOnly), conf.Duration(q.f.cfg.Stale))
	}
	if q.f.cfg.Warn > 0 && age > q.f.cfg.Warn {
		q.find("clamd.stale", "ClamAV's signatures are old.", q.s.Name(), "signatures of "+v.Signatures.Format(time.DateOnly))
	}
	return nil
}

// streams gives the daemon one thing after the other.
func (q *inquiry) streams(ctx context.Context, m *mail.Mail) error {
	sent := 0
	for s := range filters.Streams(m.Message) {
		if sent++; sent > maxStreams {
			q.find("clamd.unscannable.limit", "It is more than ClamAV looks through, so not all of it was seen.", s.Where, fmt.Sprintf("more than %d files", maxStreams))
			return nil
		}
		if err := q.stream(ctx, s); err != nil {
			return err
		}
	}
	return m.Err()
}

// stream has one thing scanned.
func (q *inquiry) stream(ctx context.Context, s filters.Stream) error {
	where, size := s.Where, s.Size
	if size > int64(q.f.cfg.MaxBytes) {
		q.find("clamd.unscannable.limit", "It is more than ClamAV looks through, so not all of it was seen.", where, fmt.Sprintf("%d bytes, more than max_bytes %d", size, q.f.cfg.MaxBytes))
		return nil
	}
	name, err := q.s.scan(ctx, io.NewSectionReader(s, 0, size))
	if errors.Is(err, errTooLarge) {
		q.find("clamd.unscannable.limit", "It is more than ClamAV looks through, so not all of it was seen.", where, fmt.Sprintf("%d bytes, more than clamd's StreamMaxLength", size))
		return nil
	}
	if err == nil && name != "" {
		code, text := classify(name)
		q.find(code, text, where, name)
	}
	return err
}

// classify reads what ClamAV says with the first words of a name.
func classify(name string) (code, text string) {
	switch {
	case strings.HasPrefix(name, "PUA."):
		return "clamd.pua", "ClamAV calls something in it potentially unwanted."
	case strings.HasPrefix(name, "Heuristics.Encrypted"):
		return "clamd.encrypted", "ClamAV found something encrypted."
	case strings.HasPrefix(name, "Heuristics.Limits.Exceeded"):
		return "clamd.unscannable.limit", "It is more than ClamAV looks through, so not all of it was seen."
	case strings.HasPrefix(name, "Heuristics.OLE2.ContainsMacros"):
		return "clamd.macro", "ClamAV found macros in a document."
	case strings.HasPrefix(name, "Heuristics.Phishing"):
		return "clamd.phish", "ClamAV takes it for phishing."
	case strings.HasPrefix(name, "Heuristics."):
		return "clamd.heuristic", "ClamAV finds something in it suspicious."
	}
	return "clamd.malware", "ClamAV knows malware in it."
}

// find states a finding once for each place and name.
func (q *inquiry) find(code, text, where, what string) {
	for _, f := range q.facts.Findings {
		if f.Code == code && f.Proof[0].Where == where && f.Proof[0].What == what {
			return
		}
	}
	q.facts.Findings = append(q.facts.Findings, filters.Finding{Code: code, Text: text, Proof: []filters.Evidence{{Where: where, What: what}}})
}

// Conditions implements filters.Reporter: it asks every daemon now.
func (f *Filter) Conditions(ctx context.Context) []filters.Condition {
	return peer.Conditions(ctx, f.peers, f.cfg.Timeout, func(ctx context.Context, i int) filters.Condition { return f.condition(ctx, f.servers[i]) })
}

// condition asks one daemon for its life and version.
func (f *Filter) condition(ctx context.Context, s *server) filters.Condition {
	c := filters.Condition{Down: true, Hint: "Start clamd, and see that filters.clamd.address is where it listens and that the gateway may connect there."}
	if c.Err = s.ping(ctx); c.Err != nil {
		return c
	}
	v, err := s.askVersion(ctx)
	if c.Err = err; err != nil {
		return c
	}
	c.Detail, c.Down, c.Hint = v.Engine+", signatures of unknown age", false, ""
	if v.Signatures.IsZero() {
		return c
	}
	age := f.now().Sub(v.Signatures)
	c.Detail = v.Engine + ", signatures of " + v.Signatures.Format("2006-01-02 15:04")
	if f.cfg.Warn > 0 && age > f.cfg.Warn {
		c.Err = fmt.Errorf("signatures are %s old", conf.Duration(age.Round(time.Hour)))
		c.Down = f.cfg.Stale > 0 && age > f.cfg.Stale
		c.Hint = "Look at freshclam: it has not brought new signatures."
	}
	return c
}
