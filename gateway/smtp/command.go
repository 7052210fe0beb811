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
			limit := c.srv.limits().CommandBytes
			if i := bytes.IndexByte(b[seen:], '\n'); i >= 0 && seen+i < limit {
				line := b[:seen+i+1]
				c.in.discard(len(line))
				if len(line) < 2 || bytes.IndexByte(line, '\r') != len(line)-2 {
					return c.notCommand(EventLineEnd, ReplyCommandEnd())
				}
				return line[:len(line)-2], nil
			}
			if len(b) >= limit {
				return c.notCommand(EventLineLong, tooLong(b))
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
	if c.tally.errors > 0 || c.needsExemption() && !c.plainAllowed() {
		idle = min(idle, pace.IdleDoubt)
	}
	return time.Now().Add(idle), errIdle
}

// notCommand ends the session for input that is no command.
func (c *conn) notCommand(e Event, r *Reply) ([]byte, error) {
	c.srv.count(e)
	c.linger = true
	c.refuse(c.verb, r)
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

// tooLong answers a command line without an end in sight (RFC 4954 section 4 has a code of its own for AUTH).
func tooLong(line []byte) *Reply {
	if word, _, _ := bytes.Cut(line[:maxVerb], []byte(" ")); strings.EqualFold(string(word), "AUTH") {
		return ReplyAuthTooLong()
	}
	return ReplyLineTooLong()
}

// letter reports whether b is an ASCII letter, as every command's first octet is.
func letter(b byte) bool { return 'a' <= b|0x20 && b|0x20 <= 'z' }

// A verb is one command that we know.
type verb struct {
	name  string
	do    func(c *conn, args []byte)
	clear clearRule
}

// A clearRule says what holds for a verb before TLS where TLS is required (RFC 3207 section 4).
type clearRule int

const (
	clearNever   clearRule = iota // but for a peer that is exempted
	clearAlways                   // it leads to TLS, or away
	clearAddress                  // decided when its address is known
	clearInside                   // it needs a transaction, and what opened that was allowed
)

// verbs are the commands that we know, offered or not.
var verbs = verbTable(
	verb{"EHLO", func(c *conn, args []byte) { c.ehlo("EHLO", args) }, clearAlways},
	verb{"HELO", func(c *conn, args []byte) { c.ehlo("HELO", args) }, clearNever},
	verb{"MAIL", (*conn).mail, clearAddress},
	verb{"RCPT", (*conn).rcpt, clearInside},
	verb{"DATA", (*conn).data, clearInside},
	verb{"RSET", (*conn).rset, clearNever},
	verb{"NOOP", func(c *conn, _ []byte) { c.junk("NOOP", ReplyOK()) }, clearAlways},
	verb{"VRFY", func(c *conn, _ []byte) { c.junk("VRFY", ReplyVerify()) }, clearNever},
	verb{"QUIT", (*conn).quit, clearAlways},
	verb{"STARTTLS", (*conn).startTLS, clearAlways},
	verb{"BDAT", (*conn).bdat, clearAlways},
	verb{"AUTH", (*conn).auth, clearNever},
	absent("EXPN"), absent("HELP"), absent("TURN"), absent("ATRN"), absent("ETRN"), absent("SEND"), absent("SOML"),
	absent("SAML"), absent("BURL"), absent("XCLIENT"), absent("XFORWARD"),
	foreign("GET"), foreign("POST"), foreign("PUT"), foreign("HEAD"), foreign("OPTIONS"), foreign("CONNECT"),
	foreign("DELETE"), foreign("PATCH"), foreign("TRACE"), foreign("PRI"), foreign("PROXY"),
)

// verbTable makes a table by name.
func verbTable(list ...verb) map[string]verb {
	m := make(map[string]verb, len(list))
	for _, v := range list {
		m[v.name] = v
	}
	return m
}

// absent is a verb of SMTP's that is not offered.
func absent(name string) verb {
	return verb{name, func(c *conn, _ []byte) { c.mistake(name, ReplyNotImplemented()) }, clearNever}
}

// foreign is a verb of another protocol.
func foreign(name string) verb {
	return verb{name, func(c *conn, _ []byte) { c.notCommandLine() }, clearAlways}
}

// maxVerb is the length of the longest verb.
const maxVerb = 8

// obey carries out one command line.
func (c *conn) obey(line []byte) {
	if c.closing {
		return
	}
	word, args, _ := bytes.Cut(line, []byte(" "))
	if bytes.IndexByte(word, ':') >= 0 || bytes.HasPrefix(word, []byte("SSH-")) {
		// A header line: the client did not see that its DATA was refused, or never asked. What follows is content.
		c.notCommandLine()
		return
	}
	v, known := lookUp(word)
	if !known {
		c.unknown(c.verbName(word))
		return
	}
	c.verb = v.name
	switch {
	case !c.mayBeClear(v.clear):
		c.needTLS(v.name)
	case !clean(args) && v.name != "EHLO" && v.name != "HELO":
		c.mistake(v.name, ReplyBadCharacter())
	default:
		v.do(c, args)
	}
}

// lookUp finds a verb, written in whichever case.
func lookUp(word []byte) (verb, bool) {
	var upper [maxVerb]byte
	if len(word) > maxVerb {
		return verb{}, false
	}
	for i, b := range word {
		if 'a' <= b && b <= 'z' {
			b -= 0x20
		}
		upper[i] = b
	}
	v, ok := verbs[string(upper[:len(word)])]
	return v, ok
}

// verbName is an unknown verb for the record: upper case, and "?" unless it is a short word of letters. After AUTH it may
// be a password (P-26).
func (c *conn) verbName(word []byte) string {
	if len(word) > 2*maxVerb || c.tally.auth {
		return "?"
	}
	for _, b := range word {
		if !letter(b) {
			return "?"
		}
	}
	return strings.ToUpper(string(word))
}

// bdat ends the session: the chunk comes without being asked for, and to go on would be to obey it (RFC 3030
// section 2).
func (c *conn) bdat([]byte) {
	c.srv.count(EventBDAT)
	c.linger = true
	c.refuse("BDAT", ReplyNotOffered())
}

// auth refuses a login, which is never offered to the Internet.
func (c *conn) auth([]byte) {
	c.srv.count(EventAuth)
	c.tally.auth = true
	c.mistake("AUTH", ReplyNotImplemented())
}

// notCommandLine ends the session for a whole line of something else.
func (c *conn) notCommandLine() {
	c.srv.count(EventForeign)
	c.linger = true
	c.refuse(c.verb, c.foreignReply())
}

// mayBeClear reports whether a verb may be used now, as far as TLS goes.
func (c *conn) mayBeClear(rule clearRule) bool {
	switch {
	case rule == clearAlways || !c.needsExemption():
		return true
	case rule == clearAddress, rule == clearInside && c.tx.open:
		return c.ln.opts.PlainAllowed != nil
	}
	return c.plainAllowed()
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
// over. What came too early was meant for another server, or for none. What the command's line held is gone after it.
func (c *conn) inSync(verb string) bool {
	if c.in.buffered() == 0 && !c.early() {
		return true
	}
	c.srv.count(EventSync)
	c.linger = true
	c.refuse(verb, ReplySync())
	return false
}

// early reports whether the client has sent what is not in the input yet: it waits in the kernel, or in TLS.
func (c *conn) early() bool {
	defer func() { _ = c.nc.SetReadDeadline(time.Time{}) }() // whoever reads next says how long
	if c.rw != c.nc {
		// A read whose time is over takes what TLS has received already, and no more.
		_ = c.nc.SetReadDeadline(time.Unix(1, 0))
		if c.in.read() == nil {
			return true
		}
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(earlyWait)) // where the time to read is over, the kernel is not asked
	if !pendingOctets(c.nc) {
		return false
	}
	// Under TLS, what waits in the kernel may be a command or content, or concern TLS alone, as the end that follows QUIT does.
	return c.rw == c.nc || c.in.read() == nil
}

// earlyWait is how long octets that are here already may take to be read through TLS.
const earlyWait = 50 * time.Millisecond

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
	limits := c.srv.limits()
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
		c.srv.count(EventTarpit)
		sleep(c.ctx, c.srv.stop, c.srv.pace().ErrorDelay)
	}
	if own {
		c.refuse(verb, r)
		return
	}
	c.send(r)
}

// unknown answers a verb that is none of SMTP's.
func (c *conn) unknown(name string) {
	c.tally.unknown++
	if hard := c.srv.limits().UnknownCommands; c.tally.unknown > hard {
		c.judge(name, nil, verdict{c.tally.unknown, 0, hard, EventUnknownCommand}, true)
		return
	}
	c.mistake(name, ReplyUnknownCommand())
}

// idleWork counts a command that brings no mail forward; false means that it was one too many.
func (c *conn) idleWork(verb string) bool {
	c.tally.junk++
	limits := c.srv.limits()
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
		c.send(r)
		c.linger = c.closing
		return
	}
	limits := c.srv.limits()
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
