package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/failpoint"
	"gatepost/gateway/forward"
	"gatepost/gateway/journal"
	"gatepost/gateway/quarantine"
	"gatepost/gateway/smtp"
	"gatepost/gateway/spool"
	"gatepost/policy"
)

// carryLimit is the longest that the client is kept waiting after its final dot: well under the ten minutes of RFC
// 5321 section 4.5.3.2.6, so that it never gives up on a message that the next hop is about to take.
const carryLimit = 4*time.Minute + 30*time.Second

// A job carries one judged message: it is hop eleven, the only one that changes the world.
type job struct {
	g       *Gateway
	snap    *Snapshot
	env     *mail.Envelope
	in      *Inspection
	content *spool.Body
	fates   []journal.Fate
	because []policy.Reason     // why the reply is not the decision's
	entries []string            // ids under which copies stand in the quarantine
	light   map[string]*lighter // stripped messages by what is taken out
	sealed  *string             // the ARC set, once it was made
	note    string              // for the journal
}

// carry does what was decided and returns the one reply. Copies for people to look at are made durable first; what
// the next hop then refuses for now takes them back, for the client will come again with the whole message.
func (j *job) carry(ctx context.Context) *smtp.Reply {
	if r := forward.Loop(j.in.Message.Header, j.g.by(), j.snap.Limits.Received); r != nil {
		return j.refuseAll(r)
	}
	if err := j.in.Message.Err(); err != nil { // what could not be read was not examined
		j.g.Log.LogAttrs(ctx, levelError, "message cannot be read back", idAttr(j.env.ID), errAttr(err))
		return j.refuseAll(smtp.ReplyLocalError())
	}
	if late(ctx) {
		return j.refuseAll(smtp.ReplyTooLate())
	}
	dec := &j.in.Decision
	if dec.Action == policy.Reject || dec.Action == policy.Defer {
		if dec.Action == policy.Reject && j.snap.KeepRefused {
			j.keepCopy(ctx)
		}
		return j.refuseAll(replyOf(dec.Reply))
	}
	if err := j.g.Journal.Health(); err != nil {
		return j.refuseAll(smtp.ReplyLocalError())
	}
	kept, passed := j.split(j.env.Rcpts)
	if dec.Doubtful() {
		if r := j.g.Gate.Doubted(ctx, j.env, j.in.Report.Auth, passed); r != nil {
			j.because = []policy.Reason{{Rule: "greylist", Text: "The message is doubtful and its sender is not known: it is asked to come again."}}
			return j.refuseAll(r)
		}
	}
	if len(kept) > 0 {
		if r := j.keep(ctx, j.env.ID, kept); r != nil {
			return j.refuseAll(r)
		}
	}
	if r := j.keepWhole(ctx, passed); r != nil {
		j.withdraw()
		return j.refuseAll(r)
	}
	for _, v := range dec.Recipients {
		if v.Action == policy.Discard {
			j.fates = append(j.fates, journal.Fate{Rcpt: v.Address, Fate: "discarded"})
		}
	}
	if len(passed) == 0 {
		return smtp.ReplyAccepted(j.env.ID)
	}
	return j.send(ctx, passed, len(kept) > 0)
}

// split sorts the recipients into those whose copy is kept for review and those whose copy goes on. A copy that cannot be
// stripped as a rule asks is kept, for what was to go must not pass.
func (j *job) split(rcpts []mail.Address) (kept []held, passed []mail.Address) {
	for i, r := range rcpts {
		v := &j.in.Decision.Recipients[i]
		switch {
		case v.Action == policy.Discard:
		case v.Action != policy.Accept && v.Action != policy.Tag:
			kept = append(kept, held{rcpt: r})
		default:
			if l := j.stripped(v); l != nil && l.err != nil {
				kept = append(kept, held{r, mail.Printable(l.err.Error(), 300)})
				continue
			}
			passed = append(passed, r)
		}
	}
	return kept, passed
}

// send forwards to the passed recipients and folds what the next hop said into one reply. The content goes out only once
// the next hop has answered for every recipient, so that nobody has a copy when the client is told to come again.
func (j *job) send(ctx context.Context, passed []mail.Address, keptSome bool) *smtp.Reply {
	wait, cancel := context.WithTimeout(ctx, carryLimit)
	defer cancel()
	outcomes := j.give(wait, passed, true)
	taken, later, never, withheld := sortOutcomes(outcomes)
	if len(withheld) > 0 && len(later) == 0 { // some were refused for good: the others shall have theirs all the same
		if r := j.keepRefused(ctx, never); r != nil {
			return r
		}
		keptSome = true
		outcomes = j.give(wait, withheld, false)
		var more []forward.Outcome
		more, later, never, _ = sortOutcomes(outcomes)
		taken = append(taken, more...)
	}
	switch {
	case len(taken) > 0: // some have it: the others must not be lost, and must not make the client send it again
		_ = failpoint.Hit(failpoint.BetweenRcpts)
		if r := j.keepRest(ctx, later, never); r != nil {
			return r
		}
	case allDown(outcomes) && j.holds():
		if r := j.hold(ctx, outcomes); r != nil {
			j.withdraw()
			return j.refuseAll(r)
		}
	case len(later) > 0:
		j.withdraw()
		r := later[0].Reply
		if late(ctx) {
			r = smtp.ReplyTooLate()
		}
		return j.passOn(outcomes, r)
	case keptSome:
		if r := j.keepRefused(ctx, never); r != nil {
			return r
		}
	default:
		return j.passOn(outcomes, never[0].Reply)
	}
	for _, o := range taken {
		j.fates = append(j.fates, journal.Fate{Rcpt: o.Rcpt.String(), Fate: "delivered", Hop: o.Hop, Reply: o.Reply.Text})
	}
	_ = failpoint.Hit(failpoint.AfterTaken)
	j.copies(wait)
	return smtp.ReplyAccepted(j.env.ID)
}

// keepRest keeps the copies that the next hop did not take while it took others: on hold where that is asked for and
// another attempt may succeed without doubling anything, else where people see them.
func (j *job) keepRest(ctx context.Context, later, never []forward.Outcome) *smtp.Reply {
	rest := never
	var waiting []forward.Outcome
	for _, o := range later {
		if j.holds() && !o.Doubtful {
			waiting = append(waiting, o)
		} else {
			rest = append(rest, o)
		}
	}
	if r := j.hold(ctx, waiting); r != nil {
		rest = append(rest, waiting...)
	}
	return j.keepRefused(ctx, rest)
}

// sortOutcomes tells apart who has the message, who may have it later, who never will, and who would have been served
// had not another recipient been refused.
func sortOutcomes(outcomes []forward.Outcome) (taken, later, never []forward.Outcome, withheld []mail.Address) {
	for _, o := range outcomes {
		switch {
		case errors.Is(o.Err, forward.ErrWithheld):
			withheld = append(withheld, o.Rcpt)
		case o.Reply.Positive():
			taken = append(taken, o)
		case o.Reply.Temporary():
			later = append(later, o)
		default:
			never = append(never, o)
		}
	}
	return taken, later, never, withheld
}

// passOn tells the client what the next hop said, but for what is nobody's business outside.
func (j *job) passOn(outcomes []forward.Outcome, r *smtp.Reply) *smtp.Reply {
	j.fates = nil
	var hops []string
	for _, o := range outcomes {
		if host, _, err := net.SplitHostPort(o.Hop); err == nil {
			hops = append(hops, strings.ToLower(host))
		}
		j.fates = append(j.fates, journal.Fate{Rcpt: o.Rcpt.String(), Fate: fateOf(o.Reply), Hop: o.Hop, Reply: o.Reply.Text})
	}
	return smtp.ReplyRelayed(r, j.env.ID, hops)
}

// A held is one recipient's copy that goes to the quarantine, and why if not by the decision itself.
type held struct {
	rcpt mail.Address
	why  string
}

// keepRefused puts the copies that the next hop did not take, while others have theirs, where people see them. They are an
// entry of their own, for the message's own id may already name the copies that were decided to be kept.
func (j *job) keepRefused(ctx context.Context, refused []forward.Outcome) *smtp.Reply {
	if len(refused) == 0 {
		return nil
	}
	copies := make([]held, len(refused))
	for i, o := range refused {
		why := "the next hop refused this recipient: "
		if o.Doubtful {
			why = "the next hop did not answer at the end of the message, and may have it: "
		}
		copies[i] = held{o.Rcpt, why + o.Reply.Error()}
	}
	return j.keep(ctx, mail.NewID(j.env.Time), copies)
}

// keep puts copies into the quarantine.
func (j *job) keep(ctx context.Context, id string, copies []held) *smtp.Reply {
	err := j.g.Quarantine.Put(ctx, j.entry(id, copies), j.content)
	if errors.Is(err, quarantine.ErrFull) {
		return smtp.ReplyStorage()
	}
	if err != nil {
		j.g.Log.LogAttrs(ctx, levelError, "quarantine cannot keep a message", idAttr(j.env.ID), errAttr(err))
		return smtp.ReplyLocalError()
	}
	j.entries = append(j.entries, id)
	for _, c := range copies {
		j.fates = append(j.fates, journal.Fate{Rcpt: c.rcpt.String(), Fate: "quarantined", Reply: c.why})
	}
	return nil
}

// keepCopy keeps a copy of what is about to be refused, where people see it. Nothing is promised to anybody by that: if it
// cannot be kept, it is refused all the same.
func (j *job) keepCopy(ctx context.Context) {
	copies := make([]held, len(j.env.Rcpts))
	for i, r := range j.env.Rcpts {
		copies[i] = held{rcpt: r}
	}
	e := j.entry(j.env.ID, copies)
	e.Refused = true
	if err := j.g.Quarantine.Put(ctx, e, j.content); err != nil {
		j.g.Log.LogAttrs(ctx, levelError, "quarantine cannot keep a copy of a refused message", idAttr(j.env.ID), errAttr(err))
		return
	}
	j.note = "a copy is kept in the quarantine"
}

// withdraw takes back what keep did for a message that the client will send again. The books are set right even if the
// client has gone.
func (j *job) withdraw() {
	for _, id := range j.entries {
		if err := j.g.Quarantine.Delete(context.Background(), id, "gateway", nil); err != nil {
			j.g.Log.LogAttrs(context.Background(), levelError, "quarantine cannot take a copy back", idAttr(j.env.ID), errAttr(err))
		}
	}
	j.entries = nil
}

// keeps reports whether a copy of the message is in our keeping.
func (j *job) keeps() bool {
	return slices.ContainsFunc(j.fates, func(f journal.Fate) bool { return f.Fate == "quarantined" || f.Fate == "held" })
}

// takeBack undoes an acceptance, and reports whether it could: what left us cannot be taken back.
func (j *job) takeBack() bool {
	held := false
	for _, f := range j.fates {
		switch f.Fate {
		case "held":
			held = true
		case "quarantined", "discarded":
		default:
			return false
		}
	}
	if held && j.g.Hold.Withdraw(j.env.ID) != nil {
		return false // it is on its way already
	}
	j.withdraw()
	return true
}

// entry describes the message for the quarantine.
func (j *job) entry(id string, copies []held) *quarantine.Entry {
	dec := j.in.Decision
	if copies[0].why != "" && dec.Class == policy.Clean {
		dec.Class = policy.ByRule
	}
	e := &quarantine.Entry{
		ID: id, Time: j.env.Time, Class: dec.Class, Score: dec.Score,
		MailFrom: j.env.From.String(), Client: j.env.Remote.String(), Helo: j.env.Helo,
		Size: j.content.Size(),
	}
	if f := j.in.Report.Message; f != nil {
		e.Author, e.Name, e.Subject = f.From, f.FromName, f.Subject
	}
	for _, c := range copies {
		e.Rcpts = append(e.Rcpts, quarantine.Recipient{Address: c.rcpt.String(), State: quarantine.Waiting, Reply: c.why})
	}
	result, err := json.Marshal(policy.NewResult(j.env, &j.in.Report, dec))
	if err == nil {
		e.Result = result
	}
	return e
}

// refuseAll refuses the message for every recipient.
func (j *job) refuseAll(r *smtp.Reply) *smtp.Reply {
	j.fates = nil
	for _, a := range j.env.Rcpts {
		j.fates = append(j.fates, journal.Fate{Rcpt: a.String(), Fate: fateOf(r)})
	}
	return r
}

// describe completes the record of the message.
func (j *job) describe(rec *journal.Record, r *smtp.Reply) {
	rec.Reply, rec.Fates, rec.Generation = policyReply(r), j.fates, j.snap.Gen
	rec.Because = j.because
	rec.Decision, rec.Report = &j.in.Decision, j.snap.Policy.Kept(&j.in.Report)
	rec.Size, rec.SHA256 = j.content.Size(), hexOf(j.content.Sum())
	if f := j.in.Report.Message; f != nil {
		rec.Subject, rec.Author, rec.MsgID = f.Subject, f.From, f.MessageID
	}
	rec.Micros = map[string]int64{"parse": j.in.Parsed.Microseconds(), "inspect": j.in.Took.Microseconds()}
	rec.Note = j.note
	if rec.Note == "" {
		rec.Note = j.consequence()
	}
	for _, t := range j.in.Report.Timings {
		rec.Micros[t.Filter] = t.Micros
	}
}
