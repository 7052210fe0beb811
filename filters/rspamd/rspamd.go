package rspamd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/filters/peer"
	"gatepost/rules/conf"
)

// Config is the filter's section. Without an address there is no Rspamd to ask and the filter does not run.
type Config struct {
	Address     peer.URLs     `yaml:"address" doc:"Where a normal or proxy worker listens: http://HOST:11333, https://HOST or unix:/path, or a list of such, asked in order until one answers. Without one, nobody is asked."`
	Password    conf.Secret   `yaml:"password" doc:"The worker's password, if it wants one."`
	SettingsID  string        `yaml:"settings_id" doc:"The name of settings in Rspamd's configuration that are meant for this gateway."`
	Timeout     time.Duration `yaml:"timeout" default:"12s" min:"100ms" max:"40s" doc:"How long the answer may take; more than Rspamd's task_timeout. Several addresses share it."`
	Connections int           `yaml:"connections" default:"8" min:"1" max:"1000" doc:"Most messages at once to one Rspamd. The others wait their turn."`
	MaxBytes    conf.Size     `yaml:"max_bytes" default:"25MiB" min:"64KiB" max:"1GiB" doc:"Largest message that is sent; no more than Rspamd's max_message. What is larger it does not see."`

	Hostname string `yaml:"-"` // ours
}

// A Filter is the rspamd filter. It remembers only how its Rspamds are, and what their lists refused of late.
type Filter struct {
	cfg   Config
	sites []site
	peers []*peer.Peer // the sites' own
	now   func() time.Time

	mu      sync.Mutex
	refused string    // symbols of the last answer in which somebody would not answer Rspamd
	when    time.Time // of that answer
}

// A site is one Rspamd.
type site struct {
	peer.Site
	client *http.Client
}

// New makes the filter; nil if no address is configured.
func New(cfg Config) *Filter {
	if len(cfg.Address) == 0 {
		return nil
	}
	f := &Filter{cfg: cfg, now: time.Now}
	for _, a := range cfg.Address {
		s, err := peer.ParseURL(a)
		if err != nil {
			continue // the configuration was checked when it was read
		}
		f.peers = append(f.peers, peer.New("rspamd "+a, "", "", cfg.Connections))
		f.sites = append(f.sites, site{s, peer.Client(s, cfg.Connections, nil)})
	}
	return f
}

// The bounds of an answer.
const (
	maxReply   = 1 << 20
	maxProof   = 6   // symbols that are shown
	maxName    = 80  // octets of a name as shown
	maxAction  = 100 // likewise of an action
	refusedFor = time.Hour
)

// Check implements filters.Filter. An error means that Rspamd, or somebody whom it asks, did not look.
func (f *Filter) Check(ctx context.Context, m *mail.Mail) (filters.Facts, error) {
	if err := m.Err(); err != nil {
		return filters.Facts{}, err
	}
	if size := m.Source.Size(); size > int64(f.cfg.MaxBytes) {
		return found("rspamd.unscannable.limit", filters.Evidence{Where: "message", What: fmt.Sprintf("%d bytes, more than max_bytes %d", size, f.cfg.MaxBytes)}), nil
	}
	return peer.First(ctx, f.peers, f.cfg.Timeout, func(ctx context.Context, i int) (filters.Facts, error) {
		b, err := f.post(ctx, f.sites[i], m)
		var a answer
		if err == nil {
			a, err = readAnswer(b)
		}
		f.peers[i].Note(ctx, err)
		if err != nil {
			return filters.Facts{}, f.peers[i].Told(ctx, "ask", err)
		}
		return f.judge(f.peers[i].Name(), a)
	})
}

// post sends the message and what is known of its envelope.
func (f *Filter) post(ctx context.Context, s site, m *mail.Mail) ([]byte, error) {
	size := m.Source.Size()
	body := func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(m.Source, 0, size)), nil }
	whole, _ := body()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/checkv2", whole)
	if err != nil {
		return nil, err
	}
	r.GetBody, r.ContentLength = body, size
	if size == 0 {
		r.Body = http.NoBody
	}
	f.envelope(r.Header, m.Envelope)
	return peer.Reply(s.client, r, maxReply)
}

// envelope writes the fields of Rspamd's protocol. What stands in an envelope holds no control characters, see mail.Address.
func (f *Filter) envelope(h http.Header, e *mail.Envelope) {
	h.Set("User-Agent", "Gatepost")
	set := func(name, value string) {
		if value != "" {
			h.Set(name, value)
		}
	}
	set("Password", f.cfg.Password.Reveal())
	set("Settings-ID", f.cfg.SettingsID)
	set("MTA-Name", f.cfg.Hostname)
	if e == nil {
		return
	}
	if e.Remote.IsValid() {
		h.Set("IP", e.Remote.String())
	}
	set("Hostname", e.RemoteName)
	set("Helo", e.Helo)
	set("Queue-Id", e.ID)
	set("TLS-Version", e.TLS.Version)
	set("TLS-Cipher", e.TLS.Cipher)
	h.Set("From", "<"+e.From.String()+">")
	for _, r := range e.Rcpts {
		h.Add("Rcpt", "<"+r.String()+">")
	}
}

// An answer is what Rspamd says (rspamd.com/doc/developers/protocol.html).
type answer struct {
	Action   string            `json:"action"`
	Score    *float64          `json:"score"`
	Required *float64          `json:"required_score"`
	Skipped  bool              `json:"is_skipped"`
	Error    string            `json:"error"`
	Symbols  map[string]symbol `json:"symbols"`
}

// A symbol is one thing that Rspamd saw.
type symbol struct {
	Score float64 `json:"score"`
}

// readAnswer reads an answer. One without an action and a score that can be compared is none.
func readAnswer(b []byte) (a answer, err error) {
	if err := peer.Decode(b, &a, false); err != nil {
		return a, fmt.Errorf("read answer: %w", err)
	}
	switch {
	case a.Error != "":
		return a, fmt.Errorf("it said %q", peer.ASCII(a.Error, maxAction))
	case a.Action == "" || a.Score == nil || a.Required == nil:
		return a, errors.New("its answer names no action, score or required score")
	case !peer.Finite(*a.Score) || math.Abs(*a.Required) > 1e6:
		return a, errors.New("its score is no number that can be compared")
	case a.Skipped && a.Action == "no action":
		return a, errors.New("it skipped the message")
	}
	return a, nil
}

// judge states what Rspamd would do. Symbols that say that somebody would not answer Rspamd make it an error beside: what they
// would have found, nobody knows.
func (f *Filter) judge(who string, a answer) (filters.Facts, error) {
	names := make([]string, 0, len(a.Symbols))
	var refused []string
	for name := range a.Symbols {
		names = append(names, name)
		if couldNotLook(name) {
			refused = append(refused, peer.ASCII(name, maxName))
		}
	}
	slices.SortFunc(names, func(x, y string) int {
		return cmp.Or(cmp.Compare(math.Abs(a.Symbols[y].Score), math.Abs(a.Symbols[x].Score)), cmp.Compare(x, y))
	})
	proof := []filters.Evidence{{Where: who, What: fmt.Sprintf("%s, score %.2f of %.2f", peer.ASCII(a.Action, maxAction), *a.Score, *a.Required)}}
	for _, name := range names[:min(len(names), maxProof)] {
		if s := a.Symbols[name].Score; s != 0 && peer.Finite(s) {
			proof = append(proof, filters.Evidence{Where: "rspamd symbol", What: fmt.Sprintf("%s %+.2f", peer.ASCII(name, maxName), s)})
		}
	}
	code := codeOf(a.Action)
	var err error
	if slices.Sort(refused); len(refused) > 0 {
		list := strings.Join(refused[:min(len(refused), 8)], ", ")
		f.mu.Lock()
		f.refused, f.when = list, f.now()
		f.mu.Unlock()
		err = fmt.Errorf("%s could not look at everything: %s", who, list)
		if code == "rspamd.no-action" {
			return filters.Facts{}, err
		}
	}
	return found(code, proof...), err
}

// couldNotLook reports whether a symbol says that a list or a scanner would not answer Rspamd.
func couldNotLook(name string) bool {
	return strings.HasSuffix(name, "_BLOCKED") || strings.Contains(name, "_BLOCKED_") || strings.HasSuffix(name, "_VIRUS_FAIL")
}

// codeOf is the finding for an action.
func codeOf(action string) string {
	switch action {
	case "no action", "greylist", "add header", "rewrite subject", "soft reject", "reject":
		return "rspamd." + strings.ReplaceAll(action, " ", "-")
	}
	return "rspamd.other-action"
}

// found is one finding.
func found(code string, proof ...filters.Evidence) filters.Facts {
	return filters.Facts{Findings: []filters.Finding{filters.State(Codes(), code, proof...)}}
}

// Conditions implements filters.Reporter: it asks every Rspamd now.
func (f *Filter) Conditions(ctx context.Context) []filters.Condition {
	return peer.Conditions(ctx, f.peers, f.cfg.Timeout, func(ctx context.Context, i int) (c filters.Condition) {
		if err := ping(ctx, f.sites[i]); err != nil {
			return filters.Condition{Err: f.peers[i].Told(ctx, "ask", err), Down: true, Hint: "Start Rspamd, and see that filters.rspamd.address is where a normal or proxy worker listens and that the gateway may connect there."}
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.refused != "" && f.now().Sub(f.when) < refusedFor {
			return filters.Condition{Err: fmt.Errorf("somebody does not answer it: %s", f.refused), Hint: "Let Rspamd ask a resolver of its own, and look at the terms of the lists that it asks."}
		}
		return filters.Condition{Detail: "answers"}
	})
}

// ping asks for a sign of life.
func ping(ctx context.Context, s site) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/ping", nil)
	if err != nil {
		return err
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 100))
	if err == nil && (resp.StatusCode != http.StatusOK || strings.TrimSpace(string(b)) != "pong") {
		err = fmt.Errorf("it said %q to ping", peer.ASCII(resp.Status+" "+string(b), maxAction))
	}
	return err
}
