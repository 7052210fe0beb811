package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/disk"
	"gatepost/gateway/forward"
	"gatepost/gateway/journal"
	"gatepost/gateway/quarantine"
	"gatepost/gateway/smtp"
	"gatepost/policy"
)

// A Holder takes custody of deliveries that the next hop cannot take now. *forward.Hold is the real one.
type Holder interface {
	// Put returns nil only once the delivery is durable.
	Put(ctx context.Context, d forward.Delivery) error
	// Withdraw takes back what Put kept under an envelope's id, unless it is on its way already.
	Withdraw(id string) error
}

// hold puts the message on hold for rcpts. Its client is told 250 only if that returns nil: the copies are then durable.
func (j *job) hold(ctx context.Context, waiting []forward.Outcome) *smtp.Reply {
	if len(waiting) == 0 {
		return nil
	}
	rcpts := make([]mail.Address, len(waiting))
	for i, o := range waiting {
		rcpts[i] = o.Rcpt
	}
	d := j.delivery(rcpts, false)
	d.Vouched = vouched(j.env, &j.in.Report, &j.in.Decision)
	err := j.g.Hold.Put(ctx, d)
	if errors.Is(err, forward.ErrHoldFull) || disk.Full(err) {
		return smtp.ReplyStorage()
	}
	if err != nil {
		j.g.Log.LogAttrs(ctx, levelError, "hold queue cannot keep a message", idAttr(j.env.ID), errAttr(err))
		return smtp.ReplyLocalError()
	}
	for _, o := range waiting {
		j.fates = append(j.fates, journal.Fate{Rcpt: o.Rcpt.String(), Fate: "held", Hop: o.Hop, Reply: o.Reply.Error()})
	}
	return nil
}

// holds reports whether mail for the transaction's domain is kept while its next hops are down. All recipients of a
// transaction share a route, and with it the answer.
func (j *job) holds() bool {
	if j.g.Hold == nil || len(j.env.Rcpts) == 0 || !j.snap.Domains[j.env.Rcpts[0].Domain()].Hold {
		return false
	}
	for _, r := range j.env.Rcpts {
		if j.verdict(r).Redirect != "" || j.strips(r) {
			return false // a held copy goes to its recipient as it came, not to where or how a rule sends it: the client keeps it
		}
	}
	return true
}

// allDown reports whether every outcome is the next hop's failure, and none leaves open whether it has the message: what
// may have arrived is left to the sender, who alone may decide to risk a second copy.
func allDown(outcomes []forward.Outcome) bool {
	for _, o := range outcomes {
		if !o.Down() || o.Doubtful {
			return false
		}
	}
	return len(outcomes) > 0
}

// A Custodian settles what becomes of messages on hold, and keeps the record of it.
type Custodian struct {
	Quarantine *quarantine.Store
	Journal    Recorder
	Retention  time.Duration // in the quarantine, of what is given up
	// Alarm, if set, is told of every message that is given up: people must look at it.
	Alarm func(held forward.Held, why []forward.Outcome)
}

// Tried records what the next hop took, so that the record outlives the process. It is forward.HoldConfig.Tried.
func (c *Custodian) Tried(h forward.Held, out []forward.Outcome) error {
	rec := c.record(h, "deliver", journal.Itself)
	for _, o := range out {
		if o.Reply.Positive() {
			rec.Rcpts = append(rec.Rcpts, o.Rcpt.String())
			rec.Fates = append(rec.Fates, journal.Fate{Rcpt: o.Rcpt.String(), Fate: "delivered", Hop: o.Hop, Reply: o.Reply.Error()})
		}
	}
	if len(rec.Fates) == 0 {
		return nil
	}
	if err := c.Journal.Append(rec); err != nil {
		return err
	}
	return c.Journal.Written()
}

// Noted makes what Tried recorded durable. It is forward.HoldConfig.Noted.
func (c *Custodian) Noted() error { return c.Journal.Sync() }

// GiveUp puts a message that cannot be delivered where people see it; nothing goes back to its sender but by Notices. It may be asked
// again for the same attempt after a crash, and then finds its own entry. It is forward.HoldConfig.GiveUp.
func (c *Custodian) GiveUp(ctx context.Context, h forward.Held, src mail.Source, why []forward.Outcome) error {
	ctx = context.WithoutCancel(ctx)
	e := c.entry(h, src, why)
	if _, err := c.Quarantine.Entry(ctx, e.ID); errors.Is(err, quarantine.ErrNotFound) {
		err = c.Quarantine.Put(ctx, e, src)
		if err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	rec := c.record(h, "give up", journal.Itself)
	rec.Subject, rec.Author = e.Subject, e.Author
	rec.Note = "kept in the quarantine as " + e.ID
	for i, o := range why {
		rec.Rcpts = append(rec.Rcpts, o.Rcpt.String())
		rec.Fates = append(rec.Fates, journal.Fate{Rcpt: o.Rcpt.String(), Fate: "quarantined", Hop: o.Hop, Reply: e.Rcpts[i].Reply})
	}
	if c.Alarm != nil {
		c.Alarm(h, why)
	}
	return record(c.Journal, rec)
}

// Cancelled records that a person gave a message up. It is forward.HoldConfig.Cancelled.
func (c *Custodian) Cancelled(h forward.Held, by string) error {
	rec := c.record(h, "cancel", by)
	for _, a := range h.Rcpts {
		rec.Rcpts = append(rec.Rcpts, a.String())
		rec.Fates = append(rec.Fates, journal.Fate{Rcpt: a.String(), Fate: "cancelled"})
	}
	return record(c.Journal, rec)
}

// record begins the record of something that happened to a message on hold.
func (c *Custodian) record(h forward.Held, action, by string) *journal.Record {
	return &journal.Record{
		V: journal.Version, Kind: journal.Disposal, ID: h.Envelope.ID, Time: time.Now(), Actor: by, Action: action, From: h.Envelope.From.String(),
	}
}

// entry describes a message that is given up for the quarantine. Its id is the same for the same attempt.
func (c *Custodian) entry(h forward.Held, src mail.Source, why []forward.Outcome) *quarantine.Entry {
	e := &quarantine.Entry{
		ID: fmt.Sprintf("%s-h%d", h.ID, h.Attempts), Time: h.Envelope.Time, Expires: time.Now().Add(c.Retention), Class: policy.ByRule,
		MailFrom: h.Envelope.From.String(), Client: h.Envelope.Remote.String(), Helo: h.Envelope.Helo, Size: h.Size,
	}
	m := mail.Parse(src)
	e.Subject = mail.Printable(m.Subject(), 500)
	if from := m.Authors(); len(from) > 0 {
		e.Author, e.Name = mail.Printable(from[0].Address, 320), mail.Printable(from[0].Name, 200)
	}
	for _, o := range why {
		reason := "the next hop refused this recipient: "
		if o.Reply.Temporary() {
			reason = fmt.Sprintf("could not be delivered since %s: ", h.Since.UTC().Format(time.RFC3339))
		}
		e.Rcpts = append(e.Rcpts, quarantine.Recipient{Address: o.Rcpt.String(), State: quarantine.Waiting, Reply: reason + mail.Printable(o.Reply.Error(), 400)})
	}
	return e
}
