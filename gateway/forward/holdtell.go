package forward

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/failpoint"
)

// A Teller tells senders that recipients were refused for good (RFC 5321 section 6.1). Whether it does is settled together
// with the end of the message, in the same record of its file, and the file then stays until the sender is told: there is one
// telling for each message or none, whatever crash comes in between.
type Teller interface {
	// May decides whether the sender of h shall be told, after its copies are kept elsewhere. It is asked once for a
	// message, and after a crash once more.
	May(h Held, src mail.Source, why []Outcome) bool
	// Notice writes what the sender is told, the same at every attempt but for dates.
	Notice(h Held, src mail.Source, why []Outcome) (Delivery, error)
	// Told learns the end of it: the last word of the next hop, or why nobody was asked.
	Told(h Held, last Outcome)
}

// maxTellings is how often a telling is tried: for about half a day.
const maxTellings = 16

// toTell are those lost of whom the sender is to be told.
func (h *Hold) toTell(held Held, src mail.Source, f *holdFile) (list []said) {
	for _, l := range f.progress.Lost {
		if l.Code/100 == 5 {
			list = append(list, l)
		}
	}
	if h.cfg.Teller == nil || len(list) == 0 || len(f.progress.Notice) == 0 && !h.cfg.Teller.May(held, src, f.outcomes(list)) {
		return nil
	}
	return list
}

// end ends a message whose recipients are all settled: at once, or when its sender is told.
func (h *Hold) end(ctx context.Context, it *item, f *holdFile, reached bool) {
	if len(f.progress.Notice) == 0 {
		h.finish(it, f, reached)
		return
	}
	held := f.held(it.id)
	last := Outcome{Rcpt: f.head.Envelope.From, Reply: excuse(ErrNoTeller), Err: ErrNoTeller}
	over := h.cfg.Teller == nil
	if !over {
		last, over = h.tell(ctx, f, held)
	}
	reached = !last.Down()
	progress := f.progress
	progress.Tellings++
	progress.Last = mail.Printable(last.Reply.Error(), 512)
	if !over && ctx.Err() != nil && last.Err != nil { // we are told to stop
		h.postpone(it, 0, reached)
		return
	}
	over = over || last.Reply.Positive() || last.Reply.Code/100 == 5 && !last.Early || progress.Tellings >= maxTellings
	if !over {
		pause := retryPause(progress.Tellings - 1)
		progress.Next = time.Now().Add(pause)
		h.trouble(it.id, f.advance(progress))
		f.progress, it.tries = progress, it.tries+1
		h.postpone(it, pause, reached)
		return
	}
	progress.Notice = nil
	h.trouble(it.id, f.advance(progress)) // before anything else is done about it: see said
	h.trouble(it.id, failpoint.Hit(failpoint.AfterTaken))
	if h.cfg.Teller != nil {
		h.cfg.Teller.Told(held, last)
	}
	f.progress = progress
	h.finish(it, f, reached)
}

// ErrNoTeller is why a sender was not told: it is not wanted any more.
var ErrNoTeller = errors.New("senders are not told any more")

// tell makes one attempt. over tells that another would not help.
func (h *Hold) tell(ctx context.Context, f *holdFile, held Held) (last Outcome, over bool) {
	failed := func(err error) Outcome {
		return Outcome{Rcpt: held.Envelope.From, Reply: excuse(ErrWithheld), Err: fmt.Errorf("write notice: %w", err)}
	}
	src, err := f.source()
	if err != nil {
		return failed(err), false
	}
	d, err := h.cfg.Teller.Notice(held, src, f.outcomes(f.progress.Notice))
	if err != nil {
		return failed(err), true
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	return h.cfg.Sender.Send(ctx, d)[0], false
}
