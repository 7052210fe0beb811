package smtp

import (
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/failpoint"
)

// noAddress stands for an address that is not known yet.
var noAddress = mail.Address{}

// unknownUser is the enhanced code of an unknown recipient, by which harvesting is seen.
const unknownUser = "5.1.1"

// ehlo begins, or begins again (RFC 5321 section 4.1.4). A client that waits for the capabilities cannot have sent
// more.
func (c *conn) ehlo(verb string, args []byte) {
	esmtp, name := verb == "EHLO", text(args)
	if !c.inSync(verb) || c.hello.given && !c.idleWork(verb) {
		return
	}
	if !helloName(name) {
		c.mistake(verb, ReplyBadHello())
		return
	}
	if c.tx.open {
		c.reset()
	}
	caps, refused := c.sess.Hello(c.ctx, Hello{Name: name, ESMTP: esmtp, TLS: c.tls})
	if refused != nil && !refused.Positive() {
		c.denied(verb, refused)
		return
	}
	c.hello = hello{given: true, esmtp: esmtp, caps: caps}
	c.hello.size = int64(c.srv.limits().MessageBytes)
	if caps.Size > 0 {
		c.hello.size = min(c.hello.size, caps.Size)
	}
	c.hello.rcpts = c.srv.limits().Recipients
	if caps.MaxRcpts > 0 {
		c.hello.rcpts = caps.MaxRcpts
	}
	if !esmtp {
		c.hello.caps = Capabilities{}
		c.out = appendLine(c.out, ' ', c.srv.cfg.Hostname)
		return
	}
	c.capabilities()
}

// capabilities lists what is offered, and offers only what the whole path can honour.
func (c *conn) capabilities() {
	h := &c.hello
	c.out = appendLine(c.out, '-', c.srv.cfg.Hostname)
	c.out = appendLine(c.out, '-', "PIPELINING")
	if h.caps.Size > 0 {
		c.out = appendLine(c.out, '-', "SIZE "+strconv.FormatInt(h.size, 10))
	}
	if h.caps.EightBit {
		c.out = appendLine(c.out, '-', "8BITMIME")
	}
	if c.offersTLS() && c.ln.tls.config() != nil {
		c.out = appendLine(c.out, '-', "STARTTLS")
	}
	if h.caps.SMTPUTF8 {
		c.out = appendLine(c.out, '-', "SMTPUTF8")
	}
	c.out = appendLine(c.out, '-', "ENHANCEDSTATUSCODES")
	c.out = appendLine(c.out, ' ', "LIMITS RCPTMAX="+strconv.Itoa(h.rcpts)+" MAILMAX="+strconv.Itoa(c.srv.limits().Messages))
}

// appendLine writes one line of a 250 reply without an enhanced code, as EHLO and HELO have it (RFC 2034 section 4).
func appendLine(b []byte, sep byte, text string) []byte {
	b = append(b, '2', '5', '0', sep)
	b = append(b, text...)
	return append(b, '\r', '\n')
}

// offersTLS reports whether this listener has STARTTLS and it was not used.
func (c *conn) offersTLS() bool {
	return !c.tls.On() && (c.ln.opts.TLS == TLSOffered || c.ln.opts.TLS == TLSRequired)
}

// startTLS makes the session another one, under TLS (RFC 3207 section 4.2): all that was said before is forgotten, and
// what was sent ahead of the handshake was sent by an attacker.
func (c *conn) startTLS(args []byte) {
	const verb = "STARTTLS"
	bare := text(args) == ""
	if !c.inSync(verb) {
		return
	}
	switch {
	case c.tls.On():
		c.mistake(verb, ReplySequence("TLS is on already"))
		return
	case !c.offersTLS():
		c.mistake(verb, ReplyNotImplemented())
		return
	case !bare:
		c.mistake(verb, ReplyBadArgument("STARTTLS without arguments"))
		return
	}
	cfg := c.ln.tls.config()
	if cfg == nil {
		c.refuse(verb, ReplyTLSUnavailable())
		return
	}
	if refused := c.srv.cfg.AllowTLS(c.peer); refused != nil {
		c.refuse(verb, refused)
		return
	}
	c.reset()
	c.hello = hello{}
	c.send(ReplyStartTLS())
	if c.flush() != nil || c.handshake(cfg) != nil {
		c.closing = true
		c.out = c.out[:0]
	}
}

// mail opens a transaction.
func (c *conn) mail(args []byte) {
	const verb = "MAIL"
	switch {
	case !c.hello.given:
		c.mistake(verb, ReplySequence("send EHLO first"))
		return
	case c.tx.open:
		c.mistake(verb, ReplySequence("a transaction is open, send RSET first"))
		return
	case c.tally.messages >= c.srv.limits().Messages:
		c.srv.count(EventMessages)
		c.linger = true
		c.refuse(verb, ReplyTooManyMessages())
		return
	}
	from, params, refused := c.parseMail(args)
	if refused != nil {
		c.mistake(verb, refused)
		return
	}
	if allowed := c.ln.opts.PlainAllowed; c.needsExemption() && !allowed(c.peer.Remote, from, noAddress) {
		c.needTLS(verb)
		return
	}
	r := c.sess.Mail(c.ctx, from, params)
	if r != nil && !r.Positive() {
		c.denied(verb, r)
		return
	}
	c.tx = transaction{open: true, from: from, params: params}
	c.tally.messages++
	c.say(r, ReplySender)
	c.told(failpoint.MailTaken)
}

// needsExemption reports whether mail in this session must be exempted from TLS.
func (c *conn) needsExemption() bool { return c.ln.opts.TLS == TLSRequired && !c.tls.On() }

// say sends the Session's own positive reply, or the ordinary one.
func (c *conn) say(r *Reply, ordinary func() *Reply) {
	if r == nil || r.Code/100 != 2 {
		r = ordinary()
	}
	c.send(r)
}

// parseMail reads the argument of MAIL.
func (c *conn) parseMail(args []byte) (mail.Address, MailParams, *Reply) {
	rest, ok := cutKeyword(args, "FROM:")
	if !ok {
		return noAddress, MailParams{}, ReplyBadArgument("MAIL FROM:<address>")
	}
	mailbox, rest, ok := cutPath(rest)
	if !ok {
		return noAddress, MailParams{}, ReplyBadSender()
	}
	caps := c.hello.caps
	p, refused := parseMailParams(rest, caps, c.hello.size)
	if refused != nil {
		if refused.Code == 552 {
			c.srv.count(EventSizeDeclared)
		}
		return noAddress, p, refused
	}
	if mailbox == "" {
		return noAddress, p, nil // the null reverse-path
	}
	from, refused := parseMailbox(mailbox, p.SMTPUTF8, mail.ParseAddress, ReplyBadSender())
	return from, p, refused
}

// cutKeyword takes "FROM:" or "TO:" from the start of args.
func cutKeyword(args []byte, keyword string) (string, bool) {
	s := strings.TrimLeft(text(args), " ")
	if len(s) < len(keyword) || !strings.EqualFold(s[:len(keyword)], keyword) {
		return "", false
	}
	return s[len(keyword):], true
}

// rcpt adds a recipient.
func (c *conn) rcpt(args []byte) {
	const verb = "RCPT"
	switch {
	case !c.hello.given:
		c.mistake(verb, ReplySequence("send EHLO first"))
		return
	case !c.tx.open:
		c.mistake(verb, ReplySequence("send MAIL first"))
		return
	}
	limits := c.srv.limits()
	most := c.hello.rcpts
	if c.tx.from.IsNull() {
		most = min(most, limits.NullSenderRcpts) // a bounce goes to the one who sent
	}
	if c.tx.rcpts >= most {
		c.srv.count(EventRcptLimit)
		c.tx.refused++
		c.tally.excess++
		c.judge(verb, ReplyTooManyRecipients(), verdict{c.tally.excess, 0, limits.ExcessRcpts, EventRcptExcess}, true)
		return
	}
	to, refused := c.parseRcpt(args)
	if refused != nil {
		c.tx.refused++
		c.mistake(verb, refused)
		return
	}
	if allowed := c.ln.opts.PlainAllowed; c.needsExemption() && !allowed(c.peer.Remote, c.tx.from, to) {
		c.tx.refused++
		c.needTLS(verb)
		return
	}
	r := c.sess.Rcpt(c.ctx, to)
	if r != nil && !r.Positive() {
		c.tx.refused++
		c.denied(verb, r)
		return
	}
	c.tx.rcpts++
	c.say(r, ReplyRecipient)
}

// parseRcpt reads the argument of RCPT. No parameter is offered, so none is known.
func (c *conn) parseRcpt(args []byte) (mail.Address, *Reply) {
	rest, ok := cutKeyword(args, "TO:")
	if !ok {
		return noAddress, ReplyBadArgument("RCPT TO:<address>")
	}
	mailbox, rest, ok := cutPath(rest)
	if !ok || mailbox == "" {
		return noAddress, ReplyBadRecipient()
	}
	if rest != "" {
		return noAddress, ReplyBadParameter()
	}
	if strings.EqualFold(mailbox, "postmaster") { // RFC 5321 section 4.5.1
		mailbox += "@" + c.srv.cfg.Hostname
	}
	return parseMailbox(mailbox, c.tx.params.SMTPUTF8, mail.ParseRecipient, ReplyBadRecipient())
}

// rset drops the transaction.
func (c *conn) rset(args []byte) {
	if text(args) != "" {
		c.mistake("RSET", ReplyBadArgument("RSET without arguments"))
		return
	}
	if !c.idleWork("RSET") {
		return
	}
	c.reset()
	c.send(ReplyOK())
}

// reset drops the transaction, here and in the Session.
func (c *conn) reset() {
	c.tx = transaction{}
	c.sess.Reset()
}

// quit ends the session.
func (c *conn) quit([]byte) {
	if c.inSync("QUIT") {
		c.send(ReplyBye())
	}
}

// data takes the content of a message and ends the transaction.
func (c *conn) data(args []byte) {
	const verb = "DATA"
	bare := text(args) == ""
	if !c.inSync(verb) {
		return
	}
	switch {
	case !c.hello.given:
		c.mistake(verb, ReplySequence("send EHLO first"))
		return
	case !c.tx.open:
		c.mistake(verb, ReplySequence("send MAIL first"))
		return
	case !bare:
		c.mistake(verb, ReplyBadArgument("DATA without arguments"))
		return
	case c.tx.rcpts == 0 && c.tx.refused > 0:
		c.mistake(verb, ReplyNoRecipients())
		return
	case c.tx.rcpts == 0:
		c.mistake(verb, ReplySequence("send RCPT first"))
		return
	}
	if r := c.sess.Data(c.ctx); r != nil && !r.Positive() {
		c.reset()
		c.denied(verb, r)
		return
	}
	c.send(ReplyStart())
	c.receive()
}

// receive reads the content and sends the final reply.
func (c *conn) receive() {
	ctx, cancel := context.WithCancelCause(c.ctx)
	defer cancel(nil)
	limits := c.srv.limits()
	pace := c.newDataPace()
	body := newContent(&c.in, contentLimits{
		size: c.hello.size, line: int64(limits.LineBytes), header: int64(limits.HeaderBytes), field: int64(limits.FieldBytes),
		fields: limits.Fields, normalizeLF: within(c.srv.tuning.Load().bareLF, c.peer.Remote),
	}, pace.read)
	body.onEnd = func() {
		if body.err != io.EOF {
			cancel(body.err)
			return
		}
		pace.late = time.AfterFunc(c.srv.pace().Verdict, func() { cancel(context.DeadlineExceeded) })
	}
	r := c.sess.Message(ctx, body)
	whole := body.err == io.EOF
	body.drain()
	if pace.late != nil {
		pace.late.Stop()
	}
	c.tx = transaction{}
	c.tally.junk = 0
	if body.fixed > 0 {
		c.srv.count(EventBareLFFixed)
	}
	switch {
	case body.err != io.EOF:
		c.faulty(body)
	case !whole && (r == nil || r.Positive()):
		// The Session says yes to what it has not read. Nothing can be promised for that.
		c.refuse("DATA", ReplyLocalError())
	default:
		c.srv.count(EventMessage)
		if r != nil && !r.Positive() {
			c.send(r)
			c.linger = c.closing
			return
		}
		c.say(r, func() *Reply { return ReplyAccepted("") })
		c.told(failpoint.AfterReply)
	}
}

// told is where a test interferes once the client has read the reply.
func (c *conn) told(p failpoint.Point) {
	if failpoint.Enabled {
		_ = c.flush()
		_ = failpoint.Hit(p)
	}
}

// faulty answers for content that did not come in whole and sound. Unless the final dot was read the connection ends
// here, whatever is said: what follows is content, and must never be read as commands.
func (c *conn) faulty(body *content) {
	slow := errors.Is(body.err, os.ErrDeadlineExceeded)
	if slow {
		c.srv.count(EventDataSlow)
	}
	switch {
	case body.flaw != sound:
		c.srv.count(flaws[body.flaw].event)
		c.refuse("DATA", body.flaw.reply())
	case slow:
		c.refuse("DATA", ReplyTimeout())
	default:
		c.srv.count(EventDataCut)
		c.refuse("DATA", ReplyCut())
	}
	c.closing = c.closing || !body.ended
	c.linger = c.linger || c.closing
}

// A dataPace holds the client to the pace that content must come in. Only time spent waiting for the client counts
// for the rate, not what the Session takes.
type dataPace struct {
	c      *conn
	begun  time.Time
	waited time.Duration
	octets int64
	late   *time.Timer // runs from the final dot
}

// newDataPace begins now.
func (c *conn) newDataPace() *dataPace { return &dataPace{c: c, begun: time.Now()} }

// read gets more content, in time or not at all.
func (p *dataPace) read() error {
	c := p.c
	if err := c.flush(); err != nil {
		return err
	}
	now, pace := time.Now(), c.srv.pace()
	wait := min(
		pace.DataIdle,
		p.begun.Add(pace.DataTotal).Sub(now),
		c.start.Add(pace.Session).Sub(now),
		pace.DataGrace+time.Duration(p.octets/int64(max(pace.DataRate, 1)))*time.Second-p.waited,
	)
	if err := c.nc.SetReadDeadline(now.Add(wait)); err != nil {
		return err
	}
	before := c.in.buffered()
	err := c.in.read()
	p.octets += int64(c.in.buffered() - before)
	p.waited += time.Since(now)
	return err
}
