package smtp

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"time"
)

// command reads the next command line, without its CRLF; the line is valid until the next read. A line that is none
// is answered here: then the line is empty and c.closing is set.
func (c *conn) command() ([]byte, error) {
	pace := c.srv.pace()
	end := c.start.Add(pace.Session)
	var begun time.Time // when the command's first octet was here
	seen := 0           // octets of pending that hold no LF
	for {
		b := c.in.pending()
		if len(b) > 0 {
			if begun.IsZero() {
				begun = time.Now()
			}
			if !letter(b[0]) {
				return c.notCommand(EventForeign, c.foreignReply())
			}
			limit := c.srv.cfg.Limits.CommandBytes
			if i := bytes.IndexByte(b[seen:], '\n'); i >= 0 && seen+i < limit {
				line := b[:seen+i+1]
				c.in.discard(len(line))
				if len(line) < 2 || bytes.IndexByte(line, '\r') != len(line)-2 {
					return c.notCommand(EventLineEnd, ReplyCommandEnd())
				}
				return line[:len(line)-2], nil
			}
			if len(b) >= limit {
				return c.notCommand(EventLineLong, ReplyLineTooLong())
			}
			seen = len(b)
		}
		deadline, why := c.commandDeadline(pace, begun)
		if end.Before(deadline) {
			deadline, why = end, errSession
		}
		if err := c.await(deadline); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return nil, why
			}
			return nil, err
		}
	}
}

// commandDeadline is until when the next octet of a command must come: a whole command has one deadline, from its
// first octet on, so that one octet now and then does not hold a session.
func (c *conn) commandDeadline(pace *Pace, begun time.Time) (time.Time, error) {
	if !begun.IsZero() {
		return begun.Add(pace.Command), errSlow
	}
	idle := pace.Idle
	if c.tally.errors > 0 || c.ln.opts.TLS == TLSRequired && !c.tls.On() {
		idle = min(idle, pace.IdleDoubt)
	}
	return time.Now().Add(idle), errIdle
}

// notCommand ends the session for input that is no command.
func (c *conn) notCommand(e Event, r *Reply) ([]byte, error) {
	c.srv.count(e)
	c.linger = true
	c.refuse("", r)
	return nil, nil
}

// foreignReply answers another protocol. The first line of a clear session gets the plain word; later, and under
// TLS, it is an attempt to have us answer somebody else's protocol, and gets none of it back (ALPACA).
func (c *conn) foreignReply() *Reply {
	if c.tls.On() || c.hello.given {
		return ReplyNotOffered()
	}
	return ReplyNotSMTP()
}

// letter reports whether b is an ASCII letter, as every command's first octet is.
func letter(b byte) bool { return 'a' <= b|0x20 && b|0x20 <= 'z' }

// maxVerb is longer than every verb that we know.
const maxVerb = 10

// obey carries out one command line.
func (c *conn) obey(line []byte) {
	if c.closing {
		return
	}
	word, args, _ := bytes.Cut(line, []byte(" "))
	if bytes.IndexByte(word, ':') >= 0 {
		// A header line: the client did not see that its DATA was refused, or never asked. What follows is content.
		c.notCommandLine()
		return
	}
	var upper [maxVerb]byte
	n := copy(upper[:], word)
	for i := range upper[:n] {
		if 'a' <= upper[i] && upper[i] <= 'z' {
			upper[i] -= 0x20
		}
	}
	if len(word) > maxVerb {
		n = 0
	}
	if !c.mayBeClear(upper[:n]) {
		c.needTLS(string(upper[:n]))
		return
	}
	switch string(upper[:n]) {
	case "EHLO":
		c.ehlo(args, true)
	case "HELO":
		c.ehlo(args, false)
	case "MAIL":
		c.mail(args)
	case "RCPT":
		c.rcpt(args)
	case "DATA":
		c.data(args)
	case "RSET":
		c.rset(args)
	case "NOOP":
		c.junk("NOOP", ReplyOK())
	case "VRFY":
		c.junk("VRFY", ReplyVerify())
	case "QUIT":
		c.quit()
	case "STARTTLS":
		c.startTLS(args)
	case "BDAT":
		// The chunk comes without being asked for. To go on would be to obey it (RFC 3030 section 2).
		c.srv.count(EventBDAT)
		c.linger = true
		c.refuse("BDAT", ReplyNotOffered())
	case "AUTH":
		c.srv.count(EventAuth)
		c.mistake("AUTH", ReplyNotImplemented())
	case "EXPN", "HELP", "TURN", "ETRN", "SEND", "SOML", "SAML", "XCLIENT", "XFORWARD", "BURL", "ATRN":
		c.mistake(string(upper[:n]), ReplyNotImplemented())
	case "GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "DELETE", "PATCH", "TRACE", "PRI", "PROXY":
		c.notCommandLine()
	default:
		if bytes.HasPrefix(word, []byte("SSH-")) {
			c.notCommandLine()
			return
		}
		c.unknown()
	}
}

// notCommandLine ends the session for a whole line of something else.
func (c *conn) notCommandLine() {
	c.srv.count(EventForeign)
	c.linger = true
	c.refuse("", c.foreignReply())
}

// mayBeClear reports whether a verb may be used now, as far as TLS goes (RFC 3207 section 4).
func (c *conn) mayBeClear(verb []byte) bool {
	opts := &c.ln.opts
	if opts.TLS != TLSRequired || c.tls.On() {
		return true
	}
	switch string(verb) {
	case "EHLO", "NOOP", "QUIT", "STARTTLS", "BDAT":
		return true
	case "MAIL", "RCPT":
		return opts.PlainAllowed != nil // decided when the address is known
	case "DATA":
		return c.tx.rcpts > 0 || opts.PlainAllowed != nil
	case "HELO", "RSET", "VRFY":
		return c.plainAllowed()
	}
	return true
}

// plainAllowed asks for an exemption with what is known so far.
func (c *conn) plainAllowed() bool {
	allowed := c.ln.opts.PlainAllowed
	return allowed != nil && allowed(c.peer.Remote, c.tx.from, noAddress)
}

// needTLS refuses a command until STARTTLS.
func (c *conn) needTLS(verb string) {
	c.srv.count(EventTLSMissing)
	c.mistake(verb, ReplyTLSRequired())
}

// inSync reports whether the client waits, as it must after EHLO, DATA, STARTTLS and QUIT; if not, the session is
// over. What came too early was meant for another server, or for none.
func (c *conn) inSync(verb string) bool {
	if c.in.buffered() == 0 {
		return true
	}
	c.srv.count(EventSync)
	c.linger = true
	c.refuse(verb, ReplySync())
	return false
}

// clean reports whether args hold nothing but printable octets, and blanks between them.
func clean(args []byte) bool {
	for _, b := range args {
		if b < ' ' || b == 0x7f {
			return false
		}
	}
	return true
}

// mistake refuses a command by the server's own rules.
func (c *conn) mistake(verb string, r *Reply) {
	c.tally.errors++
	limits := &c.srv.cfg.Limits
	hard := limits.Errors
	if c.srv.cfg.Stress() {
		hard = min(hard, limits.StressErrors)
	}
	c.judge(verb, r, verdict{c.tally.errors, limits.SoftErrors, hard, EventErrors}, true)
}

// A verdict is a count with its limits: beyond soft the answer is late, beyond hard it is the last.
type verdict struct {
	n, soft, hard int
	event         Event
}

// judge sends r, late or replaced by 421 as v says. own tells whether r is the server's own refusal, of which the
// Session is to know.
func (c *conn) judge(verb string, r *Reply, v verdict, own bool) {
	switch {
	case v.n > v.hard:
		c.srv.count(v.event)
		c.linger = true
		c.refuse(verb, ReplyTooManyErrors())
		return
	case v.soft > 0 && v.n > v.soft:
		sleep(c.ctx, c.srv.stop, c.srv.pace().ErrorDelay)
	}
	if own {
		c.refuse(verb, r)
		return
	}
	c.send(r)
}

// unknown answers a verb that is none of SMTP's.
func (c *conn) unknown() {
	c.tally.unknown++
	if hard := c.srv.cfg.Limits.UnknownCommands; c.tally.unknown > hard {
		c.judge("", nil, verdict{c.tally.unknown, 0, hard, EventUnknownCommand}, true)
		return
	}
	c.mistake("", ReplyUnknownCommand())
}

// idleWork counts a command that brings no mail forward; false means that it was one too many.
func (c *conn) idleWork(verb string) bool {
	c.tally.junk++
	limits := &c.srv.cfg.Limits
	hard := limits.Junk
	if c.srv.cfg.Stress() {
		hard = min(hard, limits.StressJunk)
	}
	if c.tally.junk > hard {
		c.judge(verb, nil, verdict{c.tally.junk, 0, hard, EventJunk}, true)
		return false
	}
	return true
}

// junk answers a command that is always answered the same and brings no mail forward.
func (c *conn) junk(verb string, r *Reply) {
	if c.idleWork(verb) {
		c.send(r)
	}
}

// denied sends the Session's refusal of a command. A refusal for good counts as an error of the client.
func (c *conn) denied(verb string, r *Reply) {
	if r.Temporary() || r.Close {
		c.linger = c.linger || r.Close
		c.send(r)
		return
	}
	limits := &c.srv.cfg.Limits
	if verb == "RCPT" && r.Enhanced == unknownUser {
		c.tally.rcpts++
		c.judge(verb, r, verdict{c.tally.rcpts, limits.SoftUnknownRcpts, limits.UnknownRcpts, EventUnknownRcpts}, false)
		return
	}
	c.tally.errors++
	hard := limits.Errors
	if c.srv.cfg.Stress() {
		hard = min(hard, limits.StressErrors)
	}
	c.judge(verb, r, verdict{c.tally.errors, limits.SoftErrors, hard, EventErrors}, false)
}

// text is args without the blanks that some programs leave at a line's end.
func text(args []byte) string { return strings.TrimRight(string(args), " ") }
