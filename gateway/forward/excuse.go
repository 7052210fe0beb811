package forward

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gatepost/gateway/smtp"
)

// The reasons for which a message was not given to a next hop, besides those of package smtp.
var (
	ErrDown     = errors.New("no next hop can be reached")
	ErrBusy     = errors.New("all connections to the next hop are in use")
	ErrNoRoute  = errors.New("no route for this domain")
	ErrWithheld = errors.New("next hop did not accept the other recipients")
	ErrSelf     = errors.New("next hop is this gateway itself")
	ErrNotUs    = errors.New("next hop refuses this gateway rather than the message")
)

// verdict is what a next hop's reply says to the sender, which is the reply itself but for two kinds. A 421 speaks of the
// next hop's connection with us, not of the sender's. And a permanent refusal for how we spoke (a command it does not
// know, TLS or a login that it wants: RFC 5321, 4954 and 7504 list the codes) must not become a bounce of good mail; err
// then keeps the words.
func verdict(r *smtp.Reply) (reply *smtp.Reply, err error) {
	switch {
	case r.Code == 421:
		return smtp.Custom(451, r.Enhanced, r.Text), nil
	case r.Code/100 == 5 && r.Code < 550:
		return excuse(ErrNotUs), fmt.Errorf("%w: %w", ErrNotUs, r)
	}
	return r, nil
}

// excuse is our own reply for err: always temporary, and without a word about what is behind us.
func excuse(err error) *smtp.Reply {
	step := &smtp.StepError{}
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return smtp.ReplyTooLate()
	case errors.Is(err, ErrBusy):
		return smtp.ReplyBusy()
	case errors.Is(err, ErrChanged), errors.Is(err, smtp.ErrContent):
		return smtp.ReplyLocalError()
	case errors.Is(err, ErrNoRoute), errors.Is(err, ErrNotUs):
		return smtp.ReplyMisconfigured()
	case errors.Is(err, ErrWithheld):
		return smtp.Custom(451, "4.3.0", "Not sent, as another recipient was not accepted; please try again later")
	case errors.As(err, &step) && slices.Contains(begun, step.Step):
		return smtp.Custom(451, "4.4.2", "Connection to the mail server of the recipient was lost; please try again later")
	}
	return smtp.ReplyNextHopDown()
}

// begun are the steps at which the next hop has been talking to us about a message.
var begun = []string{"XCLIENT", "MAIL", "RCPT", "DATA", "RSET", "content", "end of data"}
