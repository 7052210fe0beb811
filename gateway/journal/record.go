package journal

import (
	"fmt"
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

// Itself is the Actor of what the gateway does by itself, such as delivering what was on hold: that is in the journal, and not
// in the audit of what people did, whose every line is synced before the next.
const Itself = "gateway"

// A Record is one event. Its JSON form is the result form of the contract, with the session around it.
type Record struct {
	V    int       `json:"v"`
	Kind Kind      `json:"kind"`
	ID   string    `json:"id"`
	Time time.Time `json:"time"`

	Client   netip.Addr `json:"client,omitzero"`
	Name     string     `json:"client_name,omitempty"`
	Country  string     `json:"country,omitempty"`
	ASN      uint32     `json:"asn,omitempty"`
	Helo     string     `json:"helo,omitempty"`
	ESMTP    bool       `json:"esmtp,omitempty"`
	Trusted  bool       `json:"trusted,omitempty"` // the client is in trusted_networks
	SMTPUTF8 bool       `json:"smtputf8,omitempty"`
	EightBit bool       `json:"8bitmime,omitempty"`
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
	// Because says why, for a refusal that came before a Decision.
	Because []policy.Reason `json:"because,omitempty"`
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

// SetEnvelope takes over what e says.
func (r *Record) SetEnvelope(e *mail.Envelope) {
	r.ID, r.Time, r.Client, r.Name, r.Trusted = e.ID, e.Time, e.Remote, e.RemoteName, e.Trusted
	r.Country, r.ASN = e.Country, e.ASN
	r.Helo, r.ESMTP, r.TLS, r.Listener, r.From = e.Helo, e.ESMTP, e.TLS, e.Listener, e.From.String()
	r.SMTPUTF8, r.EightBit = e.SMTPUTF8, e.Body8Bit
	r.Rcpts = make([]string, len(e.Rcpts))
	for i, a := range e.Rcpts {
		r.Rcpts[i] = a.String()
	}
}

// Envelope is the envelope that SetEnvelope took over, for judging the record again. An address that cannot be read
// is an error, for a judgment over another envelope would be a lie.
func (r *Record) Envelope() (*mail.Envelope, error) {
	e := &mail.Envelope{
		ID: r.ID, Time: r.Time, Remote: r.Client, RemoteName: r.Name, Trusted: r.Trusted, Country: r.Country, ASN: r.ASN, Helo: r.Helo, ESMTP: r.ESMTP,
		TLS: r.TLS, Listener: r.Listener, SMTPUTF8: r.SMTPUTF8, Body8Bit: r.EightBit,
	}
	if err := e.From.UnmarshalText([]byte(r.From)); err != nil {
		return nil, fmt.Errorf("read envelope of %s: %w", r.ID, err)
	}
	e.Rcpts = make([]mail.Address, len(r.Rcpts))
	for i, s := range r.Rcpts {
		if err := e.Rcpts[i].UnmarshalText([]byte(s)); err != nil {
			return nil, fmt.Errorf("read envelope of %s: %w", r.ID, err)
		}
	}
	return e, nil
}

// A Fate is what happened to one recipient's copy.
type Fate struct {
	Rcpt  string `json:"rcpt"`
	Fate  string `json:"fate"`            // delivered, quarantined, refused, deferred, held, discarded
	Hop   string `json:"hop,omitempty"`   // the next hop that took or refused it
	Reply string `json:"reply,omitempty"` // its words
}
