package quarantine

import (
	"errors"
	"time"

	"gatepost/filters/mail"
	"gatepost/policy"
)

// An Entry is one quarantined message: one copy of the content for all its recipients.
type Entry struct {
	ID       string        `json:"id"`
	Time     time.Time     `json:"time"`
	Expires  time.Time     `json:"expires"` // zero at Put: by the retention of the class
	Class    policy.Class  `json:"class"`
	Refused  bool          `json:"refused,omitempty"` // the sender was told no; this copy is kept for people to look at
	Score    policy.Points `json:"score"`
	MailFrom string        `json:"mail_from"`
	Author   string        `json:"from"`      // header From address
	Name     string        `json:"from_name"` // its display name
	Subject  string        `json:"subject"`
	Size     int64         `json:"size"`   // set by Put
	SHA256   string        `json:"sha256"` // set by Put
	Client   string        `json:"client_ip"`
	Helo     string        `json:"helo"`
	Rcpts    []Recipient   `json:"recipients"` // in a View: only those in view
	// Reason and Code are the heaviest reason, for lists. If empty, Put takes them from Result. In a View that does not see
	// everything they are left out of lists, for they may be another recipient's.
	Reason string `json:"reason,omitempty"`
	Code   string `json:"code,omitempty"`
	// Terms are more words by which Query.Text finds the entry: reasons, finding codes, names of attachments. If nil,
	// Put takes them from Result.
	Terms []string `json:"-"`
	// Result is the whole explanation, in the contract's result form. List leaves it out. It names all recipients.
	Result []byte `json:"-"`
}

// A Recipient is one recipient's copy of an Entry.
type Recipient struct {
	Address string    `json:"address"`
	State   State     `json:"state"`           // empty at Put: Waiting
	Reply   string    `json:"reply,omitempty"` // the next hop's words at release
	By      string    `json:"by,omitempty"`    // who released or deleted it
	At      time.Time `json:"at,omitzero"`
}

// A State is what became of a copy.
type State string

// The states of a copy.
const (
	Waiting   State = "waiting"
	Releasing State = "releasing" // claimed, and the next hop's answer is not known yet
	Released  State = "released"
	Deleted   State = "deleted"
	Expired   State = "expired" // only in what Expire returns: an expired copy is gone
)

// A Query selects entries; zero fields do not restrict.
type Query struct {
	// Text: every word of it stands in subject, addresses, names, reasons, rules or attachment names, in any case: at the
	// beginning of a word there, unless that is so in very many entries, of which those are found that have it anywhere.
	Text      string
	Class     policy.Class
	State     State
	Recipient string // one recipient's copies
	Since     time.Time
	Until     time.Time
	Before    string // page: entries older than this id
	Limit     int    // 0: 50; at most 1,000
}

// Errors of a Store; everything else is a failure of the store itself and temporary.
var (
	// ErrNotFound is returned for an id that is not there, or not the asker's: the two cannot be told apart.
	ErrNotFound = errors.New("no such message in quarantine")
	// ErrFull means that there is no room: the quarantine's own limit or the disk. It is answered with 452 4.3.1.
	ErrFull = errors.New("quarantine full")
	// ErrDamaged means that the stored content is missing or not what was stored.
	ErrDamaged = errors.New("stored message is damaged")
	// ErrUnderWay means that another release of the same copies has not ended yet.
	ErrUnderWay = errors.New("a release of this message is under way")
)

// Content is a stored message.
type Content interface {
	mail.Source
	Close() error
}
