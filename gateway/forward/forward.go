package forward

import (
	"context"
	"io"
	"strings"

	"gatepost/filters/mail"
	"gatepost/gateway/smtp"
)

func stringReader(s string) io.Reader { return strings.NewReader(s) }

// A Domain is one domain that mail is accepted for, and where its mail goes.
type Domain struct {
	Name       string   // canonical
	Downstream []string // host:port, in order of preference
	TLS        string   // off, opportunistic, required, verify, pin
	Protocol   string   // smtp, lmtp
	Recipients string   // downstream, any, file
	WhenDown   string   // defer, hold
}

// A Delivery is one message for recipients that share a route.
type Delivery struct {
	Envelope *mail.Envelope
	Rcpts    []mail.Address
	Source   mail.Source
	Edits    Edits
}

// An Outcome is what the next hop said for one recipient.
type Outcome struct {
	Rcpt  mail.Address
	Hop   string
	Reply *smtp.Reply // the next hop's own reply, or ours with 451 4.4.1 when it could not be reached
}

// A Sender carries deliveries; the gateway's carry step uses it.
type Sender interface {
	// Send gives one delivery to the next hop and waits for its reply to the end of data. It returns one Outcome
	// per recipient, in order, and never an error: what went wrong is a temporary Reply.
	Send(ctx context.Context, d Delivery) []Outcome
}
