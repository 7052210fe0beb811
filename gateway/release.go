package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"gatepost/filters/auth"
	"gatepost/filters/mail"
	"gatepost/gateway/failpoint"
	"gatepost/gateway/forward"
	"gatepost/gateway/journal"
	"gatepost/gateway/quarantine"
)

// A Released is what the next hop said to one copy that somebody let go.
type Released struct {
	Rcpt  string `json:"recipient"`
	OK    bool   `json:"ok"`
	Reply string `json:"reply"` // the next hop's own words
}

// A Releaser gives held copies to the next hop and keeps the record of it.
type Releaser struct {
	Quarantine *quarantine.Store
	Carrier    forward.Sender
	Journal    Recorder
	Hostname   string
}

// A Recorder takes records. *journal.Journal is one.
type Recorder interface {
	Append(rec *journal.Record) error
	// Written and Sync return once what was appended outlives the process, and a loss of power.
	Written() error
	Sync() error
}

// record appends rec and makes it durable.
func record(to Recorder, rec *journal.Record) error {
	if err := to.Append(rec); err != nil {
		return err
	}
	return to.Sync()
}

// Release sends a held message to those of rcpts (all, if none are named) whose copies wait, and returns what the next
// hop said to each. The same key again is the same request, and delivers nothing twice (P-05).
func (r *Releaser) Release(ctx context.Context, id string, q quarantine.Release) ([]Released, error) {
	e, err := r.Quarantine.Entry(ctx, id)
	if err != nil {
		return nil, err
	}
	claimed, err := r.Quarantine.Claim(ctx, id, q)
	if err != nil || len(claimed) == 0 {
		return nil, err
	}
	return r.carryOut(ctx, e, q, claimed)
}

// Resume carries out what a process that is gone had claimed and brought to no end (FP-20): the request stands. It can
// be known of no copy whether it was sent already; then it is sent once more, under the same id.
func (r *Releaser) Resume(ctx context.Context, claims []quarantine.Claimed) error {
	var errs []error
	for len(claims) > 0 {
		first, n := claims[0], 1
		for n < len(claims) && claims[n].ID == first.ID && claims[n].Key == first.Key {
			n++
		}
		rcpts, err := r.Quarantine.TakeOver(ctx, claims[:n])
		claims = claims[n:]
		if err == nil && len(rcpts) == 0 {
			continue // another gateway was first
		}
		var e *quarantine.Entry
		if err == nil {
			e, err = r.Quarantine.Entry(ctx, first.ID)
		}
		if err == nil {
			_, err = r.carryOut(ctx, e, quarantine.Release{Key: first.Key, By: first.By}, rcpts)
		}
		if err != nil && !errors.Is(err, quarantine.ErrNotFound) {
			errs = append(errs, fmt.Errorf("resume release of %s: %w", first.ID, err))
		}
	}
	return errors.Join(errs...)
}

// carryOut delivers what is claimed, and notes and records what came of it.
func (r *Releaser) carryOut(ctx context.Context, e *quarantine.Entry, q quarantine.Release, claimed []string) ([]Released, error) {
	var outcomes []forward.Outcome
	sendErr := failpoint.Hit(failpoint.AtRelease)
	if sendErr == nil {
		outcomes, sendErr = r.deliver(ctx, e, claimed)
	}
	done := make([]quarantine.Outcome, len(claimed))
	results := make([]Released, len(claimed))
	rec := &journal.Record{V: journal.Version, Kind: journal.Disposal, ID: e.ID, Time: time.Now(), Actor: q.By, Action: "release", Subject: e.Subject, Author: e.Author, From: e.MailFrom}
	for i, address := range claimed {
		results[i] = Released{Rcpt: address, Reply: "not sent"}
		fate := journal.Fate{Rcpt: address, Fate: "quarantined"}
		if sendErr == nil {
			o := outcomes[i]
			results[i].OK, results[i].Reply = o.Reply.Positive(), o.Reply.Error()
			if o.Doubtful { // nobody can know: whoever releases again must know that it may be a second copy
				results[i].Reply += " (no answer came at the end of the message: it may have arrived all the same)"
			}
			fate.Hop, fate.Reply = o.Hop, results[i].Reply
			if results[i].OK {
				fate.Fate = "released"
			}
		}
		rec.Rcpts, rec.Fates = append(rec.Rcpts, address), append(rec.Fates, fate)
		done[i] = quarantine.Outcome{Address: address, Released: results[i].OK, Reply: results[i].Reply}
	}
	// What the next hop has it has: the books are kept even if the asker has gone.
	ctx = context.WithoutCancel(ctx)
	if err := r.Quarantine.MarkReleased(ctx, e.ID, q.Key, done); err != nil {
		return results, fmt.Errorf("note release: %w", err)
	}
	if err := record(r.Journal, rec); err != nil {
		return results, fmt.Errorf("record release: %w", err)
	}
	return results, sendErr
}

// deliver sends the stored content as it came in, with one field that says that a person let it go.
func (r *Releaser) deliver(ctx context.Context, e *quarantine.Entry, rcpts []string) ([]forward.Outcome, error) {
	content, err := r.Quarantine.Open(ctx, e.ID)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	env := &mail.Envelope{ID: e.ID, Time: e.Time, Helo: e.Helo, ESMTP: true}
	if addr, err := netip.ParseAddr(e.Client); err == nil {
		env.Remote = addr
	}
	if e.MailFrom != "" {
		if env.From, err = mail.ParseAddress(e.MailFrom); err != nil {
			return nil, fmt.Errorf("read sender: %w", err)
		}
	}
	for _, s := range rcpts {
		a, err := mail.ParseAddress(s)
		if err != nil {
			return nil, fmt.Errorf("read recipient: %w", err)
		}
		env.Rcpts = append(env.Rcpts, a)
	}
	head := forward.Received(env, forward.By{Hostname: r.Hostname}) + "X-Gatepost-Id: " + e.ID + "\r\nX-Gatepost-Released: " + e.ID + "\r\n"
	parsed := mail.Parse(content)
	return r.Carrier.Send(ctx, forward.Delivery{
		Envelope: env, Rcpts: env.Rcpts, Source: content,
		Edits: forward.Edits{Add: head, Drop: auth.Forged(parsed, r.Hostname)},
	}), nil
}
