package smtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"gatepost/filters/mail"
	"gatepost/gateway/failpoint"
)

// A Transaction is one message for one next hop.
type Transaction struct {
	From  mail.Address
	Rcpts []mail.Address // at least one
	// Size is that of the content, for the SIZE parameter; 0 if it is not known.
	Size     int64
	EightBit bool // BODY=8BITMIME is said where it is offered; elsewhere the content is sent as it is
	SMTPUTF8 bool // needs a next hop that offers it
	// Whole gives the content only if every recipient is accepted.
	Whole bool
	// Content has CRLF line ends, dots as they are, and no NUL, bare CR or bare LF: if one is met, or if Content
	// fails, the transaction is broken off so that the next hop cannot take it for whole. Content that does not end
	// in CRLF gets one.
	Content io.WriterTo
	Origin  *Origin // for ClientOptions.Announce
}

// A Receipt is what a next hop said in one transaction.
type Receipt struct {
	From *Reply // to MAIL; nil if it was not asked
	// Rcpts has, for each recipient in order, the reply that decides: the refusal of MAIL, of RCPT or of DATA, or the
	// reply to the end of data. nil: there is none, the recipient has not got the message.
	Rcpts []*Reply
	// Begun tells that content went out. If Send also failed, a recipient without reply may have got the message only
	// if Dotted is true.
	Begun  bool
	Dotted bool // the end of data went out
}

// Send carries out one transaction. MAIL, RCPT and DATA go out in one write where PIPELINING is offered. Should the
// next hop then ask for content although it must not have any (no recipient was accepted, or not all for a Whole
// transaction), the connection is closed: an end of data, even of nothing, could be taken for a message. By BDAT, content
// goes out only once the next hop has answered for every recipient.
//
// The Receipt is never nil. The error, a *StepError, tells that the conversation broke; the Client is then closed.
func (c *Client) Send(ctx context.Context, t *Transaction) (*Receipt, error) {
	defer c.during(ctx)()
	receipt := &Receipt{Rcpts: make([]*Reply, len(t.Rcpts))}
	if c.broken {
		return receipt, &StepError{"MAIL", errBroken}
	}
	if err := t.check(); err != nil {
		return receipt, &StepError{"MAIL", err}
	}
	if r := c.unfit(t); r != nil {
		for i := range receipt.Rcpts {
			receipt.Rcpts[i] = r
		}
		return receipt, nil
	}
	if err := c.introduce(t.Origin); err != nil {
		return receipt, err
	}
	e := envelope{c: c, t: t, receipt: receipt}
	if err := e.send(); err != nil || !e.open {
		return receipt, err
	}
	return receipt, c.content(t, &e)
}

// check refuses what no caller should ask for; it is the last line before the wire.
func (t *Transaction) check() error {
	if len(t.Rcpts) == 0 {
		return errors.New("no recipients")
	}
	for _, r := range t.Rcpts {
		if r.IsNull() || !safePath(r.String()) {
			return errors.New("recipient cannot be written")
		}
	}
	if !safePath(t.From.String()) {
		return errors.New("reverse-path cannot be written")
	}
	return nil
}

// safePath reports whether s between angle brackets is one path and nothing more: no control characters, and no
// brackets or blanks outside quotes.
func safePath(s string) bool {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch b := s[i]; {
		case b < ' ' || b == 0x7f:
			return false
		case b == '"':
			quoted = !quoted
		case b == '\\' && quoted:
			i++
			if i == len(s) || s[i] < ' ' || s[i] == 0x7f {
				return false
			}
		case (b == ' ' || b == '<' || b == '>') && !quoted:
			return false
		}
	}
	return !quoted
}

// unfit is our own reply for a message that this next hop has said it cannot take.
func (c *Client) unfit(t *Transaction) *Reply {
	switch {
	case c.ext.Size > 0 && t.Size > c.ext.Size:
		return ReplyTooLarge()
	case t.SMTPUTF8 && !c.ext.SMTPUTF8:
		return ReplyNeedsUTF8() // RFC 6531 section 3.5
	}
	return nil
}

// An envelope is the first part of a transaction in progress: numbered commands, of which the first are XFORWARD, then
// MAIL, then one RCPT each, then DATA.
type envelope struct {
	c        *Client
	t        *Transaction
	receipt  *Receipt
	forwards []string
	taken    int  // recipients accepted
	closing  bool // the next hop said 421
	open     bool // 354 was said, and content may follow
}

// send says all commands in as few writes as may be.
func (e *envelope) send() error {
	e.forwards = e.c.forwards(e.t.Origin)
	step := 1
	if e.c.ext.Pipelining {
		step = maxPipelined
	}
	data := len(e.forwards) + 1 + len(e.t.Rcpts) // the number of DATA
	last := data
	chunked := e.c.chunked()
	if step > 1 && !(e.t.Whole && len(e.t.Rcpts) > 1) && !chunked {
		last++ // DATA may go out before the recipients' replies are known
	}
	for from := 0; from < last; from += step {
		if err := e.group(from, min(from+step, last)); err != nil {
			return err
		}
		if e.closing || e.receipt.From != nil && e.receipt.From.Code/100 != 2 {
			break
		}
	}
	switch {
	case e.closing:
		e.c.abort()
		return nil
	case e.open && !e.wanted():
		e.c.abort() // see Send
		e.open = false
		return nil
	case e.open:
		return nil
	case chunked && e.wanted():
		e.open = true // BDAT needs no leave
		return nil
	case last == data && e.wanted():
		if err := e.group(data, data+1); err != nil || e.open {
			return err
		}
	}
	return e.c.reset()
}

// wanted reports whether the content is to be sent.
func (e *envelope) wanted() bool {
	return e.taken == len(e.t.Rcpts) || e.taken > 0 && !e.t.Whole
}

// group sends the commands numbered [from, to) in one write and takes the reply of each.
func (e *envelope) group(from, to int) error {
	c := e.c
	c.pace = c.opts.Deadlines.Envelope
	for n := from; n < to; n++ {
		e.put(n)
	}
	if err := c.out.Flush(); err != nil {
		return c.fail("MAIL", err)
	}
	for n := from; n < to; n++ {
		if n == len(e.forwards)+1+len(e.t.Rcpts) {
			if err := c.arm(c.opts.Deadlines.Data); err != nil {
				return c.fail("DATA", err)
			}
		}
		r, err := readReply(c.in, nil)
		if err != nil {
			return c.fail(e.step(n), err)
		}
		if e.take(n, r); e.closing {
			return nil
		}
	}
	if c.in.Buffered() > 0 {
		e.open = false
		return c.fail("DATA", ErrOutOfStep)
	}
	return nil
}

func (e *envelope) step(n int) string {
	switch n -= len(e.forwards); {
	case n <= 0:
		return "MAIL"
	case n <= len(e.t.Rcpts):
		return "RCPT"
	}
	return "DATA"
}

// put writes the command numbered n.
func (e *envelope) put(n int) {
	out := e.c.out
	if n < len(e.forwards) {
		out.WriteString(e.forwards[n])
		out.WriteString("\r\n")
		return
	}
	switch n -= len(e.forwards); {
	case n == 0:
		e.putMail()
	case n <= len(e.t.Rcpts):
		out.WriteString("RCPT TO:<")
		out.WriteString(e.t.Rcpts[n-1].String())
		out.WriteString(">\r\n")
	default:
		out.WriteString("DATA\r\n")
	}
}

func (e *envelope) putMail() {
	out, ext := e.c.out, &e.c.ext
	out.WriteString("MAIL FROM:<")
	out.WriteString(e.t.From.String())
	out.WriteByte('>')
	if ext.SizeParam && e.t.Size > 0 {
		out.WriteString(" SIZE=")
		out.Write(strconv.AppendInt(out.AvailableBuffer(), e.t.Size, 10))
	}
	if ext.EightBit && e.t.EightBit {
		out.WriteString(" BODY=8BITMIME")
	}
	if e.t.SMTPUTF8 {
		out.WriteString(" SMTPUTF8")
	}
	out.WriteString("\r\n")
}

// take notes the reply to the command numbered n. What is neither acceptance nor refusal is taken for a refusal for now.
func (e *envelope) take(n int, r *Reply) {
	e.closing = r.Code == 421 // RFC 5321 section 3.8: the next hop closes the connection
	rcpts := e.receipt.Rcpts
	switch n -= len(e.forwards); {
	case n < 0: // XFORWARD is for the next hop's log: its refusal is no reason to keep mail back
	case n == 0:
		e.receipt.From = r
		if r.Code/100 != 2 {
			for i := range rcpts {
				rcpts[i] = refusal(r)
			}
		}
	case n <= len(rcpts):
		switch {
		case rcpts[n-1] != nil: // MAIL was refused, and that decides
		case r.Code/100 == 2:
			e.taken++
		default:
			rcpts[n-1] = refusal(r)
		}
	case r.Code == 354:
		e.open = true
	default:
		for i := range rcpts {
			if rcpts[i] == nil {
				rcpts[i] = refusal(r)
			}
		}
	}
}

// refusal is r where it refuses, and a temporary refusal where r is a reply that has no business there.
func refusal(r *Reply) *Reply {
	if r.Code/100 >= 4 {
		return r
	}
	return &Reply{Code: 451, Enhanced: "4.5.0", Text: fmt.Sprintf("Next hop replied %d out of place", r.Code)}
}

// content sends the content and the end of data, and takes the reply, or one for each accepted recipient over LMTP.
func (c *Client) content(t *Transaction, e *envelope) error {
	receipt := e.receipt
	if err := failpoint.Hit(failpoint.AfterRcpts); err != nil {
		return c.fail("DATA", err)
	}
	receipt.Begun = true
	c.pace = c.opts.Deadlines.Block
	if c.chunked() {
		if refused, err := c.chunks(t, receipt); err != nil || refused != nil {
			return c.cut(receipt, refused, err)
		}
	} else if err := c.data(t); err != nil {
		return c.fail("content", err)
	}
	receipt.Dotted = true // from here on the next hop may have it
	if err := c.out.Flush(); err != nil {
		return c.fail("end of data", err)
	}
	if err := failpoint.Hit(failpoint.AfterDot); err != nil {
		return c.fail("end of data", err)
	}
	if err := c.arm(c.opts.Deadlines.Dot); err != nil {
		return c.fail("end of data", err)
	}
	var r *Reply
	for i := range receipt.Rcpts {
		if receipt.Rcpts[i] != nil {
			continue
		}
		if r == nil || c.opts.LMTP {
			var err error
			if r, err = readReply(c.in, nil); err != nil {
				return c.fail("end of data", err)
			}
		}
		receipt.Rcpts[i] = r
		if r.Code/100 != 2 {
			receipt.Rcpts[i] = refusal(r)
		}
	}
	if r.Code == 421 || c.in.Buffered() > 0 { // the message's fate is known; the connection is not used again
		c.abort()
	}
	return nil
}

// data writes the content and the end of data as DATA wants them; the end is not flushed.
func (c *Client) data(t *Transaction) error {
	w := newContentWriter(c.out)
	if _, err := t.Content.WriteTo(w); err != nil {
		return err
	}
	return w.end()
}

// Probe asks whether the next hop would take mail for rcpt, in a transaction without content. The reply is that to RCPT;
// it is nil, with the reply to MAIL as the error, when MAIL was refused already.
func (c *Client) Probe(ctx context.Context, from, rcpt mail.Address) (*Reply, error) {
	defer c.during(ctx)()
	if c.broken {
		return nil, &StepError{"MAIL", errBroken}
	}
	t := &Transaction{From: from, Rcpts: []mail.Address{rcpt}, Whole: true}
	if err := t.check(); err != nil {
		return nil, &StepError{"MAIL", err}
	}
	for i := range len(rcpt.String()) {
		if rcpt.String()[i] >= 0x80 {
			t.SMTPUTF8 = c.ext.SMTPUTF8
		}
	}
	e := envelope{c: c, t: t, receipt: &Receipt{Rcpts: make([]*Reply, 1)}}
	if err := e.group(0, 1); err != nil {
		return nil, err
	}
	if from := e.receipt.From; from.Code/100 != 2 {
		if e.closing {
			c.abort()
		} else if err := c.reset(); err != nil {
			return nil, err
		}
		return nil, &StepError{"MAIL", from}
	}
	r, err := c.exchange("RCPT", c.opts.Deadlines.Envelope, "RCPT TO:<"+rcpt.String()+">", nil)
	if err != nil {
		return nil, err
	}
	if r.Code == 421 {
		c.abort()
		return r, nil
	}
	return r, c.reset()
}
