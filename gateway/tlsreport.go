package gateway

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/journal"
	"gatepost/policy"
)

// A TLSReport says who would be cut off if TLS were required, and what that would cost. It is counted from the journal:
// give Add every record of a time, then ask for the Summary.
type TLSReport struct {
	policy  *TLSPolicy
	senders map[string]*TLSSender
	clients map[netip.Addr]*TLSClient
	sum     TLSSummary
}

// NewTLSReport begins a report; p says what is asked of whom now.
func NewTLSReport(p *TLSPolicy) *TLSReport {
	return &TLSReport{policy: p, senders: map[string]*TLSSender{}, clients: map[netip.Addr]*TLSClient{}}
}

// A TLSSender is a domain that sent in clear text.
type TLSSender struct {
	Domain   string    `json:"domain"` // of the reverse-path, empty for the null sender; where that was refused unheard, of the HELO name
	Proven   bool      `json:"proven"` // some of its mail was authenticated
	Clients  []string  `json:"clients"`
	Messages int       `json:"messages"` // in clear text
	TLS      int       `json:"tls"`      // messages over TLS
	Wanted   int       `json:"wanted"`   // of them, delivered
	Refused  int       `json:"refused"`  // attempts that were refused for want of TLS
	Exempt   int       `json:"exempt"`   // messages that would get in all the same
	Stage    string    `json:"stage"`    // the strictest that is asked of it now
	Last     time.Time `json:"last"`
	Error    string    `json:"last_error,omitempty"` // of the handshakes of its clients, in words
}

// A TLSClient is a client whose handshakes fail.
type TLSClient struct {
	Client string    `json:"client"`
	Name   string    `json:"name,omitempty"`
	Failed int       `json:"failed"`
	Error  string    `json:"last_error"`
	Last   time.Time `json:"last"`
}

// A TLSSummary is the report.
type TLSSummary struct {
	Since       time.Time    `json:"since"`
	Messages    int          `json:"messages"`     // of which the content came
	Plain       int          `json:"plain"`        // of them, in clear text
	PlainWanted int          `json:"plain_wanted"` // of them, delivered
	CutOff      []TLSSender  `json:"would_be_cut_off"`
	Failing     []*TLSClient `json:"failed_handshakes"`
	Others      int          `json:"others,omitempty"` // messages of senders beyond those that are listed
}

// Bounds of a report, whatever the journal holds.
const (
	maxTLSRows    = 10_000
	maxTLSClients = 8 // that a row names
)

// Add counts one record.
func (t *TLSReport) Add(r *journal.Record) {
	switch {
	case r.Kind == journal.Message:
		t.message(r)
	case r.Kind == journal.Refusal && r.Verb == "STARTTLS":
		t.failure(r)
	case r.Kind == journal.Refusal && !r.TLS.On() && (r.Verb == "MAIL" || r.Verb == "RCPT") && wantsTLS(r.Reply):
		from := domainOf(r.From)
		if from == "" { // the listener refused before it knew the sender
			from = cmp.Or(mail.OrganizationalDomain(r.Helo), r.Client.String())
		}
		if row := t.row(r, from); row != nil {
			row.Refused++
		}
	}
}

// wantsTLS reports whether a reply refuses for want of TLS.
func wantsTLS(r policy.Reply) bool {
	return r.Code == 530 && r.Enhanced == "5.7.0" || r.Code == 550 && strings.HasPrefix(r.Text, "TLS is required")
}

// message counts a message.
func (t *TLSReport) message(r *journal.Record) {
	t.sum.Messages++
	if r.TLS.On() {
		if row := t.row(r, domainOf(r.From)); row != nil {
			row.TLS++
		}
		return
	}
	wanted := r.Reply.Code/100 == 2 && slices.ContainsFunc(r.Fates, func(f journal.Fate) bool { return f.Fate == "delivered" || f.Fate == "held" })
	t.sum.Plain++
	if wanted {
		t.sum.PlainWanted++
	}
	row := t.row(r, domainOf(r.From))
	if row == nil {
		t.sum.Others++
		return
	}
	row.Messages++
	if wanted {
		row.Wanted++
	}
	row.Proven = row.Proven || r.Report != nil && provenFor(r)
	if t.letIn(r) {
		row.Exempt++
	}
}

// provenFor reports whether a record's reverse-path was authenticated.
func provenFor(r *journal.Record) bool {
	a := r.Report.Auth
	return a != nil && (a.Domain != "" || a.SPF.Result == "pass" && !a.SPF.Weak)
}

// row finds the row of a domain, and notes what is common to all that is counted there; nil if there are too many.
func (t *TLSReport) row(r *journal.Record, domain string) *TLSSender {
	row := t.senders[domain]
	if row == nil {
		if len(t.senders) >= maxTLSRows {
			return nil
		}
		row = &TLSSender{Domain: domain}
		t.senders[domain] = row
	}
	if r.TLS.On() {
		return row
	}
	if a := r.Client.String(); len(row.Clients) < maxTLSClients && !slices.Contains(row.Clients, a) {
		row.Clients = append(row.Clients, a)
	}
	if r.Time.After(row.Last) {
		row.Last = r.Time
	}
	if stage := t.stage(r); stage != "" && (row.Stage == "" || stageRank(stage) > stageRank(row.Stage)) {
		row.Stage = stage
	}
	return row
}

func stageRank(name string) TLSStage { s, _ := StageOf(name); return s }

// stage is the strictest that is asked of a record's mail now.
func (t *TLSReport) stage(r *journal.Record) string {
	env, err := r.Envelope()
	if err != nil {
		return ""
	}
	strictest := t.policy.Listeners[env.Listener].Stage
	for _, rcpt := range append(env.Rcpts, mail.Address{}) {
		s, _ := t.policy.Stage(env, rcpt)
		strictest = max(strictest, s)
	}
	return strictest.String()
}

// letIn reports whether a message would get in although TLS were required of everybody: by its client, its sender or all
// of its recipients.
func (t *TLSReport) letIn(r *journal.Record) bool {
	env, err := r.Envelope()
	if err != nil || len(env.Rcpts) == 0 {
		return false
	}
	l := t.policy.Listeners[env.Listener]
	if contains(l.Networks, env.Remote) || !env.From.IsNull() && l.Senders[env.From.Domain()] {
		return true
	}
	return !slices.ContainsFunc(env.Rcpts, func(a mail.Address) bool {
		return !t.policy.Exempt[a.Canonical()] && !l.Recipients[a.Canonical()] && !(l.Recipients["postmaster"] && postmaster(a))
	})
}

// failure counts a handshake that failed.
func (t *TLSReport) failure(r *journal.Record) {
	cause, failed := strings.CutPrefix(r.Reply.Text, "TLS handshake failed: ")
	if !failed {
		return
	}
	c := t.clients[r.Client]
	if c == nil {
		if len(t.clients) >= maxTLSRows {
			return
		}
		c = &TLSClient{Client: r.Client.String()}
		t.clients[r.Client] = c
	}
	c.Failed++
	if !r.Time.Before(c.Last) {
		c.Last, c.Error = r.Time, cause
	}
	if r.Name != "" {
		c.Name = r.Name
	}
}

// Summary is the report of all that was added: who sent most wanted mail first.
func (t *TLSReport) Summary(since time.Time) *TLSSummary {
	s := t.sum
	s.Since, s.CutOff, s.Failing = since, []TLSSender{}, []*TLSClient{}
	for _, row := range t.senders {
		if row.Messages+row.Refused == 0 {
			continue
		}
		var last time.Time
		for _, a := range row.Clients {
			if addr, err := netip.ParseAddr(a); err == nil && t.clients[addr] != nil && t.clients[addr].Last.After(last) {
				last, row.Error = t.clients[addr].Last, t.clients[addr].Error
			}
		}
		s.CutOff = append(s.CutOff, *row)
	}
	for _, c := range t.clients {
		s.Failing = append(s.Failing, c)
	}
	slices.SortFunc(s.CutOff, func(a, b TLSSender) int {
		return cmp.Or(b.Wanted-a.Wanted, b.Messages-a.Messages, b.Refused-a.Refused, cmp.Compare(a.Domain, b.Domain))
	})
	slices.SortFunc(s.Failing, func(a, b *TLSClient) int { return cmp.Or(b.Failed-a.Failed, cmp.Compare(a.Client, b.Client)) })
	return &s
}

// domainOf is what stands after the last @.
func domainOf(address string) string {
	return strings.ToLower(address[strings.LastIndexByte(address, '@')+1:])
}
