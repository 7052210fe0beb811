package badsink

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"time"
)

// errEnd ends a session without further words.
var errEnd = errors.New("session ends")

type session struct {
	sink *Sink
	n    int
	raw  net.Conn // below TLS
	conn net.Conn
	r    *bufio.Reader
	w    *bufio.Writer

	helo   string
	tls    bool
	past   int // transactions done
	from   string
	params string
	mail   bool
	rcpts  []string
	chunks chunks
}

func newSession(s *Sink, c net.Conn, n int) *session {
	return &session{sink: s, n: n, raw: c, conn: c, r: bufio.NewReaderSize(c, 64<<10), w: bufio.NewWriterSize(c, 8<<10)}
}

func (x *session) run() {
	if x.step(Connect, "", "", x.banner()) != nil {
		return
	}
	for {
		line, err := x.line()
		if err != nil {
			return
		}
		x.sink.note(x.n, line)
		if x.command(line) != nil {
			return
		}
	}
}

// line flushes what is owed unless more commands have come already, and reads the next command.
func (x *session) line() (string, error) {
	if x.r.Buffered() == 0 {
		if err := x.w.Flush(); err != nil {
			return "", err
		}
	}
	b, err := x.r.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	return string(bytes.TrimRight(b, "\r\n")), nil
}

func (x *session) banner() string {
	if x.sink.script.LMTP {
		return "220 sink.test LMTP"
	}
	return "220 sink.test ESMTP"
}

func (x *session) command(line string) error {
	verb, arg, _ := strings.Cut(line, " ")
	switch strings.ToUpper(verb) {
	case "EHLO", "LHLO", "HELO":
		x.helo = arg
		x.forget()
		return x.step(Ehlo, line, "", x.hello(verb))
	case "STARTTLS":
		return x.startTLS(line)
	case "MAIL":
		return x.begin(line)
	case "RCPT":
		addr, _ := path(line)
		return x.step(Rcpt, line, addr, "250 2.1.5 recipient ok")
	case "DATA":
		return x.data(line)
	case "BDAT":
		return x.bdat(line)
	case "RSET":
		x.forget()
		return x.step(Rset, line, "", "250 2.0.0 reset")
	case "NOOP":
		return x.step(Noop, line, "", "250 2.0.0 ok")
	case "QUIT":
		x.step(Quit, line, "", "221 2.0.0 bye")
		x.w.Flush()
		return errEnd
	case "XFORWARD":
		return x.step(Other, line, "", "250 2.0.0 ok")
	case "XCLIENT":
		x.forget()
		return x.step(Other, line, "", x.banner())
	}
	return x.step(Other, line, "", "502 5.5.1 not known here")
}

func (x *session) hello(verb string) string {
	lines := x.sink.script.Extensions
	if lines == nil {
		lines = []string{"PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"}
	}
	if x.sink.script.TLS != nil && !x.tls {
		lines = append(slices.Clone(lines), "STARTTLS")
	}
	if strings.EqualFold(verb, "HELO") || len(lines) == 0 {
		return "250 sink.test"
	}
	var b strings.Builder
	b.WriteString("250-sink.test\r\n")
	for i, l := range lines {
		b.WriteString("250")
		b.WriteByte(" -"[min(1, len(lines)-1-i)])
		b.WriteString(l + "\r\n")
	}
	return b.String()
}

func (x *session) startTLS(line string) error {
	if x.sink.script.TLS == nil || x.tls {
		return x.step(StartTLS, line, "", "502 5.5.1 not offered")
	}
	reply, err := x.ask(StartTLS, line, "", "220 2.0.0 ready")
	if err != nil {
		return err
	}
	x.w.Flush()
	if !strings.HasPrefix(reply, "220") {
		return nil
	}
	c := tls.Server(x.raw, x.sink.script.TLS)
	if err := c.Handshake(); err != nil {
		return err
	}
	x.conn, x.tls = c, true
	x.r, x.w = bufio.NewReaderSize(c, 64<<10), bufio.NewWriterSize(c, 8<<10)
	x.forget()
	return nil
}

func (x *session) begin(line string) error {
	from, params := path(line)
	reply, err := x.ask(Mail, line, "", "250 2.1.0 sender ok")
	if err == nil && reply[0] == '2' {
		x.forget()
		x.mail, x.from, x.params = true, from, params
	}
	return err
}

func (x *session) forget() {
	x.mail, x.from, x.params, x.rcpts, x.chunks = false, "", "", nil, chunks{}
}

func (x *session) data(line string) error {
	ordinary := "354 go on"
	if len(x.rcpts) == 0 {
		ordinary = "554 5.5.1 no valid recipients"
	}
	reply, err := x.ask(Data, line, "", ordinary)
	if err != nil || reply[0] != '3' {
		return err
	}
	if err := x.w.Flush(); err != nil {
		return err
	}
	if _, err := x.r.Peek(1); err != nil {
		return err
	}
	if err := x.step(Body, "", "", ""); err != nil {
		return err
	}
	content, stray, err := x.content()
	if err != nil {
		return err
	}
	return x.end(Message{
		Session: x.n, Number: x.past, Helo: x.helo, From: x.from, Params: x.params, Rcpts: x.rcpts, Data: content, TLS: x.tls, Stray: stray,
	})
}

// end replies to the end of data and keeps the message for those recipients for whom the reply says yes.
func (x *session) end(m Message) error {
	defer func() { x.past++; x.forget() }()
	if !x.sink.script.LMTP {
		return x.dot(m, "")
	}
	for _, r := range m.Rcpts {
		one := m
		one.Rcpts = []string{r}
		if err := x.dot(one, r); err != nil {
			return err
		}
	}
	return nil
}

func (x *session) dot(m Message, rcpt string) error {
	e := x.event(Dot, "", rcpt)
	act := x.action(e)
	reply := "250 2.0.0 taken"
	if r, ok := x.sink.script.Replies[Dot]; ok {
		reply = r
	}
	if act != nil {
		reply = act.Reply
	}
	// The message is kept before the reply goes out, as a durable server does: who cuts the line afterwards has it.
	if strings.HasPrefix(reply, "2") || act != nil && reply == "" {
		x.sink.keep(m)
	}
	return x.perform(act, reply)
}

// content reads up to CRLF.CRLF and nothing else.
func (x *session) content() (content []byte, stray bool, err error) {
	var out []byte
	discard := x.sink.script.Discard
	bol := true // the last line end was a CRLF
	for {
		line, err := x.r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, stray, err
		}
		whole := err == nil
		crlf := bytes.HasSuffix(line, []byte("\r\n"))
		if bol && string(line) == ".\r\n" {
			return out, stray, nil
		}
		if bol && line[0] == '.' {
			line = line[1:]
		}
		if !stray && !discard {
			body := line
			if crlf {
				body = line[:len(line)-2]
			}
			stray = bytes.ContainsAny(body, "\r\n\x00") && (whole || bytes.ContainsAny(bytes.TrimSuffix(body, []byte("\r")), "\r\n\x00"))
		}
		if !discard {
			out = append(out, line...)
		}
		bol = crlf
	}
}

func (x *session) event(step, line, rcpt string) Event {
	return Event{Session: x.n, Message: x.past, Step: step, Line: line, Rcpt: rcpt, TLS: x.tls}
}

func (x *session) action(e Event) *Action {
	if x.sink.script.On == nil {
		return nil
	}
	e.Open = x.sink.Open()
	return x.sink.script.On(e)
}

// step gives the reply of one step.
func (x *session) step(step, line, rcpt, ordinary string) error {
	_, err := x.ask(step, line, rcpt, ordinary)
	return err
}

// ask is step and tells what was replied; it is never empty when err is nil.
func (x *session) ask(step, line, rcpt, ordinary string) (string, error) {
	reply := ordinary
	if r, ok := x.sink.script.Replies[step]; ok {
		reply = r
	}
	act := x.action(x.event(step, line, rcpt))
	if act != nil {
		reply = act.Reply
	}
	if step == Rcpt && strings.HasPrefix(reply, "2") && x.mail {
		x.rcpts = append(x.rcpts, rcpt)
	}
	if err := x.perform(act, reply); err != nil {
		return "", err
	}
	if reply == "" {
		reply = "none"
	}
	return reply, nil
}

func (x *session) perform(act *Action, reply string) error {
	if act != nil && act.Delay > 0 {
		x.w.Flush()
		select {
		case <-time.After(act.Delay):
		case <-x.sink.done:
			return errEnd
		}
	}
	if act != nil && act.Hang {
		x.w.Flush()
		io.Copy(io.Discard, x.r)
		return errEnd
	}
	if reply != "" {
		x.w.WriteString(reply)
		if !strings.HasSuffix(reply, "\r\n") {
			x.w.WriteString("\r\n")
		}
	}
	if act != nil && (act.Close || act.Reset) {
		x.w.Flush()
		if act.Reset {
			reset(x.raw)
		}
		return errEnd
	}
	return nil
}

// path takes the address and the parameters out of a MAIL or RCPT line.
func path(line string) (addr, params string) {
	_, rest, ok := strings.Cut(line, "<")
	if !ok {
		return "", ""
	}
	end := strings.LastIndexByte(rest, '>')
	if end < 0 {
		return rest, ""
	}
	return rest[:end], strings.TrimSpace(rest[end+1:])
}
