package gateway

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/gateway/failpoint"
	"gatepost/gateway/forward"
	"gatepost/gateway/journal"
	"gatepost/gateway/smtp"
	"gatepost/gateway/spool"
	"gatepost/policy"
)

// A session is one connection. What belongs to a message is in tx, which is replaced whole.
type session struct {
	g     *Gateway
	peer  smtp.Peer
	leave func()
	hello smtp.Hello
	name  chan string // the client's verified name, once; nil after it was taken
	host  string
	tx    transaction
	cut   *mail.Envelope // of the message that did not arrive whole, until Refused is told why
}

// A transaction is one message on its way in.
type transaction struct {
	snap   *Snapshot
	env    *mail.Envelope
	report filters.Report // of AtEnvelope
	route  string
	size   int64   // as MAIL declared it
	denied *denial // set once the client, HELO or sender is denied: every recipient but postmaster is refused
	ruled  *denial // the last recipient that was denied
}

// A denial is an access entry that matched before a recipient was named.
type denial struct {
	reply  *smtp.Reply
	reason policy.Reason
}

// Connect implements smtp.Handler.
func (g *Gateway) Connect(ctx context.Context, p smtp.Peer) (smtp.Session, *smtp.Reply) {
	leave, refusal := g.Gate.Connect(ctx, p.Remote)
	if refusal != nil {
		s := &session{g: g, peer: p, leave: func() {}}
		s.Refused(ctx, "", refusal)
		return nil, refusal
	}
	s := &session{g: g, peer: p, leave: leave, name: make(chan string, 1)}
	go func(name chan<- string) {
		nctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		name <- g.Namer.Name(nctx, p.Remote)
	}(s.name)
	return s, nil
}

// Hello implements smtp.Session.
func (s *session) Hello(ctx context.Context, h smtp.Hello) (smtp.Capabilities, *smtp.Reply) {
	s.hello = h
	snap := s.g.Snapshot()
	if !snap.OwnName && s.claimsToBeUs(snap) {
		return smtp.Capabilities{}, s.refuse(ctx, "EHLO", smtp.ReplySelfHello())
	}
	c, _ := s.g.Carrier.Offer()
	l := &snap.Limits
	if c.Size == 0 || c.Size > l.MessageBytes {
		c.Size = l.MessageBytes
	}
	c.MaxRcpts = l.Recipients
	return c, nil
}

// claimsToBeUs reports whether a stranger greets with our name or our address (HOSTILE C-10).
func (s *session) claimsToBeUs(snap *Snapshot) bool {
	a := s.peer.Remote
	if a == s.peer.Local.Addr() || a.IsLoopback() || contains(snap.Trusted, a) {
		return false
	}
	if literal, ok := strings.CutPrefix(s.hello.Name, "["); ok {
		ip, err := netip.ParseAddr(strings.TrimPrefix(strings.TrimSuffix(literal, "]"), "IPv6:"))
		return err == nil && (ip.Unmap() == s.peer.Local.Addr() || ip.IsLoopback())
	}
	return strings.EqualFold(strings.TrimSuffix(s.hello.Name, "."), s.g.Hostname)
}

// Mail begins a transaction under the snapshot of this moment: one message, one judge.
func (s *session) Mail(ctx context.Context, from mail.Address, p smtp.MailParams) *smtp.Reply {
	if err := s.g.Spool.Admit(); err != nil {
		return s.refuse(ctx, "MAIL", smtp.ReplyStorage())
	}
	now, snap := s.g.Now(), s.g.Snapshot()
	tx := transaction{snap: snap, size: p.Size, env: &mail.Envelope{
		ID: mail.NewID(now), Time: now, Listener: s.peer.Listener, Remote: s.peer.Remote, RemoteName: s.clientName(ctx),
		Trusted: contains(snap.Trusted, s.peer.Remote), Helo: s.hello.Name, ESMTP: s.hello.ESMTP, TLS: s.hello.TLS,
		From: from, SMTPUTF8: p.SMTPUTF8, Body8Bit: p.EightBit,
	}}
	tx.snap.Locate(tx.env)
	s.tx = tx
	if r := s.g.Gate.Mail(ctx, tx.env); r != nil {
		s.tx = transaction{}
		return s.refuseFor(ctx, "MAIL", r, tx.env)
	}
	for _, m := range []policy.Moment{policy.Connect, policy.Helo, policy.MailFrom} {
		if ruling := tx.snap.Policy.Admit(m, tx.env, mail.Address{}); ruling.Standing == policy.Denied {
			s.tx.denied = &denial{reply: replyOf(ruling.Reply), reason: ruling.Because}
			break
		}
	}
	return nil
}

// clientName waits a little for the lookup begun at connect; a slow name is no name.
func (s *session) clientName(ctx context.Context) string {
	if s.name == nil {
		return s.host
	}
	select {
	case s.host = <-s.name:
		s.name = nil
		return s.host
	default:
	}
	t := time.NewTimer(2 * time.Second)
	defer t.Stop()
	select {
	case s.host = <-s.name:
		s.name = nil
	case <-t.C:
	case <-ctx.Done():
	}
	return s.host
}

// Rcpt admits one recipient: ours, on the transaction's route, not denied, known to the next hop.
func (s *session) Rcpt(ctx context.Context, to mail.Address) *smtp.Reply {
	env := s.tx.env
	to = s.tx.snap.answerable(to, s.g.Hostname)
	d, ours := s.tx.snap.Domains[to.Domain()]
	switch {
	case !ours:
		return s.refuseFor(ctx, "RCPT", smtp.ReplyRelayDenied(), env, to)
	case s.tx.denied != nil && !postmaster(to):
		return s.refuseFor(ctx, "RCPT", s.tx.denied.reply, env, to)
	case len(env.Rcpts) > 0 && env.From.IsNull():
		return s.refuseFor(ctx, "RCPT", smtp.ReplyTooManyRecipients(), env, to)
	case len(env.Rcpts) > 0 && d.Route != s.tx.route:
		return s.refuseFor(ctx, "RCPT", smtp.ReplyOtherRoute(), env, to)
	}
	refused, soon := s.secure(to)
	if refused != nil {
		return s.refuseFor(ctx, "RCPT", refused, env, to)
	}
	if ruling := s.tx.snap.Policy.Admit(policy.Rcpt, env, to); ruling.Standing == policy.Denied && !postmaster(to) {
		s.tx.ruled = &denial{reply: replyOf(ruling.Reply), reason: ruling.Because}
		return s.refuseFor(ctx, "RCPT", s.tx.ruled.reply, env, to)
	}
	if r := s.g.Gate.Rcpt(ctx, env, to); r != nil {
		return s.refuseFor(ctx, "RCPT", r, env, to)
	}
	if r := s.exists(ctx, d, to); r != nil {
		return s.refuseFor(ctx, "RCPT", r, env, to)
	}
	if len(env.Rcpts) == 0 {
		early := *env // the filters' own copy: recipients are still to be added to ours
		s.tx.snap.Chain.Warm(s.tx.snap.bound(context.WithoutCancel(ctx)), &early)
	}
	s.tx.route = d.Route
	env.Rcpts = append(env.Rcpts, to)
	return soon
}

// answerable puts a postmaster who has a mailbox in the place of the gateway's own, which <postmaster> without a domain
// stands for and which must be reachable (RFC 5321 section 4.5.1).
func (s *Snapshot) answerable(to mail.Address, hostname string) mail.Address {
	if _, ours := s.Domains[hostname]; ours || s.Home == "" || to.Domain() != hostname || !postmaster(to) {
		return to
	}
	if home, err := mail.ParseAddress("postmaster@" + s.Home); err == nil {
		return home
	}
	return to
}

// exists refuses a recipient that is known not to exist, for good, and one that nobody can say anything about, for now.
func (s *session) exists(ctx context.Context, d Domain, to mail.Address) *smtp.Reply {
	standing := forward.Known
	switch {
	case postmaster(to), d.Recipients == "any":
	case d.Recipients == "file":
		if !d.Users[to.Canonical()] {
			standing = forward.Unknown
		}
	case d.Directory != nil:
		standing = d.Directory.Verify(ctx, to)
	default:
		standing, _ = s.g.Carrier.Verify(ctx, to)
	}
	switch standing {
	case forward.Known:
		return nil
	case forward.Unknown:
		return smtp.ReplyUnknownRecipient()
	}
	return smtp.ReplyUnverifiable()
}

// postmaster reports whether a is the one local part that RFC 5321 section 4.5.1 keeps reachable.
func postmaster(a mail.Address) bool { return a.Canonical() == "postmaster@"+a.Domain() }

// Data runs the filters that need no content; if they settle a refusal, none is asked for.
func (s *session) Data(ctx context.Context) *smtp.Reply {
	tx := &s.tx
	<-tx.snap.Chain.Run(ctx, filters.AtEnvelope, &mail.Mail{Envelope: tx.env}, &tx.report)
	if !tx.snap.Policy.Settled(tx.env, &tx.report) {
		return nil
	}
	dec := tx.snap.Policy.Decide(tx.env, &tx.report)
	if dec.Action != policy.Reject && dec.Action != policy.Defer {
		return nil
	}
	r := replyOf(dec.Reply)
	rec := s.record(journal.Refusal, tx.env)
	rec.Verb, rec.Reply, rec.Decision, rec.Report = "DATA", policyReply(r), &dec, &tx.report
	return s.write(ctx, rec, r)
}

// Message takes the content in, judges it and carries it where it belongs.
func (s *session) Message(ctx context.Context, body io.Reader) *smtp.Reply {
	tx := s.tx
	s.tx = transaction{}
	content, err := s.g.Spool.Receive(body, tx.size)
	if err != nil {
		return s.lost(ctx, tx.env, err)
	}
	if failpoint.Hit(failpoint.Received) != nil {
		content.Close()
		return s.refuseFor(ctx, "DATA", smtp.ReplyLocalError(), tx.env)
	}
	if r := s.g.Gate.Content(ctx, tx.env, content.Size()); r != nil {
		content.Close()
		return s.refuseFor(ctx, "DATA", r, tx.env)
	}
	in, r := s.inspect(ctx, &tx, content)
	if r != nil {
		content.Close()
		return s.refuseFor(ctx, "DATA", r, tx.env)
	}
	defer func() { s.g.release(content, in.Ended) }()
	j := &job{g: s.g, snap: tx.snap, env: tx.env, in: in, content: content}
	return s.conclude(ctx, j, j.carry(ctx))
}

// conclude records what became of a message before its client is told. The record of mail that we keep is durable then;
// that of mail that the next hop has outlives this process, and a loss of power but for the last second. What cannot be
// recorded is taken back where that can be; where the next hop has it already, a refusal would double it, and its record
// follows once the journal can be written (S-04).
func (s *session) conclude(ctx context.Context, j *job, reply *smtp.Reply) *smtp.Reply {
	rec := s.record(journal.Message, j.env)
	j.describe(rec, reply)
	if !reply.Positive() {
		return s.write(ctx, rec, reply)
	}
	err := s.g.Journal.Append(rec)
	if err != nil && j.takeBack() {
		s.g.Log.LogAttrs(ctx, levelError, "journal cannot be written", errAttr(err))
		return smtp.ReplyLocalError()
	}
	switch {
	case err != nil:
	case j.keeps():
		err = s.g.Journal.Sync()
	default:
		err = s.g.Journal.Written()
	}
	if err != nil {
		s.g.Log.LogAttrs(ctx, levelError, "journal cannot be written", errAttr(err))
	}
	if a := j.in.Decision.Action; a == policy.Accept || a == policy.Tag {
		s.g.Gate.Accepted(ctx, j.env, j.in.Report.Auth, a == policy.Accept && !j.in.Decision.Doubtful())
	}
	s.g.Log.LogAttrs(ctx, levelInfo, string(rec.Kind), journal.LogLine(rec)...)
	_ = failpoint.Hit(failpoint.BeforeReply)
	return reply
}

// inspect has the message judged once there is a seat for it.
func (s *session) inspect(ctx context.Context, tx *transaction, content *spool.Body) (*Inspection, *smtp.Reply) {
	switch {
	case s.g.seats.sit(ctx):
	case late(ctx):
		return nil, smtp.ReplyTooLate()
	default:
		return nil, smtp.ReplyBusy()
	}
	defer s.g.seats.rise()
	return tx.snap.Inspect(ctx, tx.env, content, tx.report), nil
}

// late reports whether the time for a verdict is over: the client must not be kept waiting longer.
func late(ctx context.Context) bool {
	return ctx.Err() != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded)
}

// lost answers for content that did not arrive whole or could not be kept. For what did not arrive whole and sound the
// server answers by itself and tells Refused, which is to know whose message it was.
func (s *session) lost(ctx context.Context, env *mail.Envelope, err error) *smtp.Reply {
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, cause) {
		s.cut = env
		return nil
	}
	if errors.Is(err, spool.ErrFull) || errors.Is(err, spool.ErrStorage) {
		return s.refuseFor(ctx, "DATA", smtp.ReplyStorage(), env)
	}
	return s.refuseFor(ctx, "DATA", smtp.ReplyLocalError(), env)
}

// Reset drops the transaction.
func (s *session) Reset() { s.tx = transaction{} }

// Close gives the connection's place back.
func (s *session) Close() { s.leave() }

// Refused records what the server refused by itself.
func (s *session) Refused(ctx context.Context, verb string, r *smtp.Reply) {
	env := cmp.Or(s.tx.env, s.cut)
	s.cut = nil
	if env == nil {
		now := s.g.Now()
		env = &mail.Envelope{ID: mail.NewID(now), Time: now, Listener: s.peer.Listener, Remote: s.peer.Remote, Helo: s.hello.Name, TLS: s.hello.TLS}
	}
	s.refuseFor(ctx, verb, r, env)
}

// refuse records a refusal that has no transaction yet.
func (s *session) refuse(ctx context.Context, verb string, r *smtp.Reply) *smtp.Reply {
	s.Refused(ctx, verb, r)
	return r
}

// refuseFor records a refusal within a transaction, and for which recipient.
func (s *session) refuseFor(ctx context.Context, verb string, r *smtp.Reply, env *mail.Envelope, rcpt ...mail.Address) *smtp.Reply {
	s.g.Gate.Refused(ctx, env, r)
	rec := s.record(journal.Refusal, env)
	rec.ID = mail.NewID(s.g.Now()) // one transaction may see many refusals and still be accepted
	told := r
	if env.ID != "" && strings.Contains(r.Text, env.ID) { // the reference by which people ask is that of the refusal
		own := *r
		own.Text = strings.Replace(r.Text, env.ID, rec.ID, 1)
		told = &own
	}
	rec.Verb, rec.Reply = verb, policyReply(told)
	for _, a := range rcpt {
		rec.Fates = append(rec.Fates, journal.Fate{Rcpt: a.String(), Fate: fateOf(r)})
	}
	for _, d := range []*denial{s.tx.denied, s.tx.ruled} {
		if d != nil && d.reply == r {
			rec.Because = []policy.Reason{d.reason}
		}
	}
	return s.write(ctx, rec, told)
}

// record begins a record of this session.
func (s *session) record(kind journal.Kind, env *mail.Envelope) *journal.Record {
	rec := &journal.Record{V: journal.Version, Kind: kind}
	rec.SetEnvelope(env)
	return rec
}

// write puts the record down and gives the reply back; what cannot be recorded is not accepted.
func (s *session) write(ctx context.Context, rec *journal.Record, r *smtp.Reply) *smtp.Reply {
	if err := s.g.Journal.Append(rec); err != nil {
		s.g.Log.LogAttrs(ctx, levelError, "journal cannot be written", errAttr(err))
		if r.Positive() {
			return smtp.ReplyLocalError()
		}
	}
	s.g.Log.LogAttrs(ctx, levelInfo, string(rec.Kind), journal.LogLine(rec)...)
	return r
}
