package admin

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/gateway/journal"
	"gatepost/gateway/quarantine"
)

// Deps are the rooms that the pages look into. Quarantine, Own, Journal, Accounts and Meter are required.
type Deps struct {
	Quarantine Quarantine                           // everyone's held mail
	Own        func(addresses ...string) Quarantine // only what is held for these canonical addresses
	Releaser   Releaser                             // nil: nothing can be released
	Deleter    Deleter                              // nil: nothing can be deleted
	Journal    Journal
	Accounts   *Accounts
	Meter      *Meter
	Rescanner  Rescanner      // nil: what is released is not scanned again
	Policies   Policies       // nil: no policy pages
	Changer    PolicyChanger  // nil: the policy is only shown
	Entries    Entries        // nil: nobody can be allowed or denied
	Testwright Testwright     // nil: no tests are made of messages
	Teacher    Teacher        // nil: nothing is taught
	Waiters    Waiters        // nil: no page of waiting senders
	Holds      Holds          // nil: no page of the hold queue
	TLS        TLSReadiness   // nil: no page of TLS readiness
	Known      Acquaintances  // nil: no page of learnt people
	Digests    *Digests       // nil: no digests
	Hooks      Hooks          // nil: no page of webhooks
	Bodies     Bodies         // nil: no text preview, only the bytes
	Health     func() []Check // nil: always well
	Gauges     func() []Gauge // nil: none beyond what Meter counts
	Codes      []filters.Code // what finding codes mean, in both languages
	Log        *slog.Logger   // nil: silent; errors that a page shows by id only
	Now        func() time.Time
}

// Quarantine is what the pages read of held mail: the reading half of a quarantine store, or of a view of it. What is
// not in view is quarantine.ErrNotFound like what is not there.
type Quarantine interface {
	// List may leave out the entries' results.
	List(ctx context.Context, q quarantine.Query) ([]quarantine.Entry, error)
	// Count is how many entries a query selects, but no more than most.
	Count(ctx context.Context, q quarantine.Query, most int) (int, error)
	Entry(ctx context.Context, id string) (*quarantine.Entry, error)
	Open(ctx context.Context, id string) (quarantine.Content, error)
}

// A Releaser gives held copies to the next hop.
type Releaser interface {
	// Release sends the message to those of rcpts whose copies wait, records it, and returns one outcome for each
	// in order. The error is for what went wrong before the next hop could be asked.
	Release(ctx context.Context, id string, rcpts []string, actor string) ([]ReleaseOutcome, error)
}

// ErrUnderWay is what a Releaser or Deleter returns, wrapped or not, while another release of the same copies has not
// ended.
var ErrUnderWay = errors.New("a release of this message is under way")

// A ReleaseOutcome is what the next hop said to one recipient's released copy.
type ReleaseOutcome struct {
	Rcpt  string `json:"recipient"`
	OK    bool   `json:"ok"`
	Reply string `json:"reply"` // the next hop's own words
}

// A Deleter forgets held copies; the content goes with the last of them.
type Deleter interface {
	Delete(ctx context.Context, id string, rcpts []string, actor string) error
}

// Journal is what the pages read of the past, and where they write what people did.
type Journal interface {
	// Trace finds the newest records that match an id, Message-ID, address, host name or client IP, newest first.
	Trace(ctx context.Context, query string, limit int) ([]journal.Record, error)
	// Recent lists the newest records of a kind before an instant (zero: now), newest first.
	Recent(ctx context.Context, kind journal.Kind, before time.Time, limit int) ([]journal.Record, error)
	Append(ctx context.Context, r *journal.Record) error
}

// Bodies reads what a person would see of a message.
type Bodies interface {
	// Body decodes the displayed text and HTML of src to UTF-8, at most limit bytes of each.
	Body(src mail.Source, limit int) (Body, error)
}

// A Body is what a person would see of a message. It is as hostile as its sender.
type Body struct {
	Text     string // from the first displayed text/plain part, or made from HTML if there is none
	HTML     string // from the displayed text/html part; empty if there is none
	TextCut  bool   // more text than the limit was left out
	HTMLCut  bool
	FromHTML bool // Text was made from the HTML part
}

// A Check is one answer to "can the gateway do its work?".
type Check struct {
	Name     string    `json:"name"` // stable, such as "downstream example.com"
	OK       bool      `json:"ok"`
	Severity Severity  `json:"severity"`
	Since    time.Time `json:"since,omitzero"`   // when it began to be so
	Effect   string    `json:"effect,omitempty"` // what it does to mail, one sentence
	Hint     string    `json:"hint,omitempty"`   // what to do, one sentence
	Detail   string    `json:"detail,omitempty"` // the error itself
}

// A Severity says how much a failing Check hurts.
type Severity string

// The severities.
const (
	Warning  Severity = "warning"  // mail flows, something is degraded
	Critical Severity = "critical" // mail is being refused or cannot be kept: not ready
)

// A Gauge is one number that another room states for /metrics.
type Gauge struct {
	Name    string // "gatepost_spool_bytes"
	Help    string
	Value   float64
	Label   string // label name; empty: none
	Of      string // label value
	Counter bool   // it only ever grows
}
