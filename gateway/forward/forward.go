package forward

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"strings"

	"gatepost/filters/mail"
	"gatepost/gateway/smtp"
)

func stringReader(s string) io.Reader { return strings.NewReader(s) }

// A Domain is one domain that mail is accepted for, and where its mail goes.
type Domain struct {
	Name       string   // canonical
	Downstream []string // host:port, or unix:/path, in order of preference
	TLS        string   // off, opportunistic, required, verify, pin, dane; empty: off for this host, verify for any other
	Pins       []string // for pin: SHA-256 of the SubjectPublicKeyInfo, in hexadecimal or base64
	Protocol   string   // smtp, lmtp; empty: smtp
	Chunking   bool     // content goes by BDAT where the next hop offers it, else by DATA
	Announce   string   // xforward, xclient: how the next hop is told of the client where it offers that; empty: not
	Recipients string   // downstream, any, file, ldap
	WhenDown   string   // defer, hold
}

// A Delivery is one message for recipients that share a route.
type Delivery struct {
	Envelope *mail.Envelope
	Rcpts    []mail.Address
	Source   mail.Source
	Edits    Edits
	// Sum, if not zero, is the SHA-256 of Source when it was scanned. Other content is not sent.
	Sum [sha256.Size]byte
	// Whole sends only if the next hop accepts every recipient: a sender who waits for one reply for all then gets a
	// true one, and none has a copy already when the sender tries again.
	Whole bool
	// Vouched tells that the sender is who it says and that nothing is wrong with the message: should it be refused for
	// good after it was put on hold, the sender may be told.
	Vouched bool
	// Via, if not empty, is the domain whose next hop carries the message, whatever domain its recipients are in.
	Via string
}

// An Outcome is what the next hop said for one recipient.
type Outcome struct {
	Rcpt  mail.Address
	Hop   string
	Reply *smtp.Reply // the next hop's own reply, or ours with 451 4.4.1 when it could not be reached
	// Err is why Reply is not the next hop's: ErrDown, ErrBusy, ErrNoRoute, ErrWithheld, ErrNotUs, ErrChanged,
	// smtp.ErrContent, an error of the context, or a *smtp.StepError. nil: the next hop said it.
	Err error
	// Doubtful tells that the end of data went out and no reply came: the next hop may have the message all the same,
	// and another attempt may double it.
	Doubtful bool
	// Early tells that the next hop refused the sender, before it heard of any recipient: it may be out of order, and refuse
	// everybody's mail.
	Early bool
}

// Down reports whether the next hop, rather than the message, is why the recipient has not got it: what may be held and
// tried again.
func (o Outcome) Down() bool {
	return o.Err != nil && !errors.Is(o.Err, ErrNoRoute) && !errors.Is(o.Err, ErrWithheld) && !errors.Is(o.Err, ErrChanged) &&
		!errors.Is(o.Err, smtp.ErrContent)
}

// A Sender carries deliveries; the gateway's carry step uses it.
type Sender interface {
	// Send gives one delivery to the next hop and waits for its reply to the end of data. It returns one Outcome
	// per recipient, in order, and never an error: what went wrong is a temporary Reply.
	Send(ctx context.Context, d Delivery) []Outcome
}
