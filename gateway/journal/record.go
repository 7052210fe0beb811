package journal

import (
	"net/netip"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/policy"
)

// A Kind says what a Record records.
type Kind string

// The kinds of records.
const (
	Message    Kind = "message"    // a transaction that reached the end of data, whatever became of it
	Refusal    Kind = "refusal"    // a connection or command that was refused before
	Disposal   Kind = "disposal"   // what later became of a held or quarantined copy: released, delivered, expired, deleted
	Management Kind = "management" // what a person or a reload changed
)

// Version is the version of the record format; readers know this one and the one before.
const Version = 1

// A Record is one event. Its JSON form is the result form of the contract, with the session around it.
type Record struct {
	V    int       `json:"v"`
	Kind Kind      `json:"kind"`
	ID   string    `json:"id"`
	Time time.Time `json:"time"`

	Client   netip.Addr `json:"client,omitzero"`
	Name     string     `json:"client_name,omitempty"`
	Helo     string     `json:"helo,omitempty"`
	TLS      mail.TLS   `json:"tls,omitzero"`
	Listener string     `json:"listener,omitempty"`
	From     string     `json:"mail_from"`
	Rcpts    []string   `json:"rcpt,omitempty"`
	Subject  string     `json:"subject,omitempty"`
	Author   string     `json:"from,omitempty"` // header From address
	MsgID    string     `json:"message_id,omitempty"`
	Size     int64      `json:"size,omitempty"`
	SHA256   string     `json:"sha256,omitempty"` // of the content as received

	Verb  string       `json:"verb,omitempty"` // for a refusal: the command that was refused
	Reply policy.Reply `json:"reply"`          // what the client was told in the end
	// Fates says what happened to each recipient's copy.
	Fates []Fate `json:"fates,omitempty"`

	Generation uint64           `json:"generation,omitempty"` // of the policy that judged
	Decision   *policy.Decision `json:"decision,omitempty"`
	Report     *filters.Report  `json:"report,omitempty"`

	Actor  string `json:"actor,omitempty"` // who did it, for human actions
	Action string `json:"action,omitempty"`
	Note   string `json:"note,omitempty"`

	Micros map[string]int64 `json:"timings_us,omitempty"`
}

// A Fate is what happened to one recipient's copy.
type Fate struct {
	Rcpt  string `json:"rcpt"`
	Fate  string `json:"fate"`            // delivered, quarantined, refused, deferred, held, discarded
	Hop   string `json:"hop,omitempty"`   // the next hop that took or refused it
	Reply string `json:"reply,omitempty"` // its words
}
