package quarantine

import (
	"context"
	"errors"
	"time"

	"gatepost/filters/mail"
	"gatepost/policy"
)

// An Entry is one quarantined message: one copy of the content for all its recipients.
type Entry struct {
	ID       string        `json:"id"`
	Time     time.Time     `json:"time"`
	Expires  time.Time     `json:"expires"`
	Class    policy.Class  `json:"class"`
	Score    policy.Points `json:"score"`
	MailFrom string        `json:"mail_from"`
	Author   string        `json:"from"`      // header From address
	Name     string        `json:"from_name"` // its display name
	Subject  string        `json:"subject"`
	Size     int64         `json:"size"`
	SHA256   string        `json:"sha256"`
	Client   string        `json:"client_ip"`
	Helo     string        `json:"helo"`
	Rcpts    []Recipient   `json:"recipients"`
	// Result is the whole explanation, in the contract's result form.
	Result []byte `json:"-"`
}

// A Recipient is one recipient's copy of an Entry.
type Recipient struct {
	Address string    `json:"address"`
	State   State     `json:"state"`
	Reply   string    `json:"reply,omitempty"` // the next hop's words at release
	By      string    `json:"by,omitempty"`    // who released or deleted it
	At      time.Time `json:"at,omitzero"`
}

// A State is what became of a copy.
type State string

// The states of a copy.
const (
	Waiting  State = "waiting"
	Released State = "released"
	Deleted  State = "deleted"
	Expired  State = "expired"
)

// A Query selects entries; zero fields do not restrict.
type Query struct {
	Text      string // matches subject, addresses, reasons, attachment names
	Class     policy.Class
	State     State
	Recipient string
	Since     time.Time
	Until     time.Time
	Before    string // page: entries older than this id
	Limit     int    // 0: 50
}

// ErrNotFound is returned for an id that is not there, or not the asker's.
var ErrNotFound = errors.New("no such message in quarantine")

// A Store keeps entries.
type Store interface {
	// Put makes the message durable: content, then record, then directory, before it returns nil.
	Put(ctx context.Context, e *Entry, src mail.Source) error
	List(ctx context.Context, q Query) ([]Entry, error)
	Entry(ctx context.Context, id string) (*Entry, error)
	// Open returns the content as received; the caller closes it.
	Open(ctx context.Context, id string) (Content, error)
}

// Content is a stored message.
type Content interface {
	mail.Source
	Close() error
}
