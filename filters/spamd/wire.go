package spamd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"gatepost/filters/mail"
	"gatepost/filters/peer"
)

// The bounds of an answer.
const (
	maxLine  = 4 << 10
	maxHead  = 16 << 10
	maxBody  = 64 << 10
	maxTests = 500
	maxName  = 80
)

// An answer is what spamd says about one message.
type answer struct {
	spam            bool
	score, required float64
	tests           []string // printable, in spamd's order
}

// ask sends one message by SYMBOLS (SpamAssassin's spamd/PROTOCOL) and reads the answer.
func (f *Filter) ask(ctx context.Context, p *peer.Peer, m *mail.Mail) (answer, error) {
	conn, end, err := p.Dial(ctx)
	if err != nil {
		return answer{}, errors.Unwrap(err)
	}
	defer end()
	trace := f.trace(m.Envelope)
	head := fmt.Sprintf("SYMBOLS SPAMC/1.5\r\nContent-length: %d\r\n", int64(len(trace))+m.Source.Size())
	if f.cfg.User != "" {
		head += "User: " + f.cfg.User + "\r\n"
	}
	sendErr := send(conn, head+"\r\n"+trace, io.NewSectionReader(m.Source, 0, m.Source.Size()))
	a, err := readAnswer(bufio.NewReaderSize(conn, maxLine))
	if err == nil {
		err = sendErr // a word about what it never got is no answer
	}
	return a, err
}

// send writes what stands before the message, and the message.
func send(conn net.Conn, before string, r io.Reader) error {
	if _, err := io.WriteString(conn, before); err != nil {
		return err
	}
	_, err := io.Copy(conn, r)
	return err
}

// trace are the fields that a mail server would have put on top: SpamAssassin learns from them who sent the message, and checks
// SPF and block lists by them.
func (f *Filter) trace(e *mail.Envelope) string {
	if e == nil || !e.Remote.IsValid() {
		return ""
	}
	literal := e.Remote.String()
	if e.Remote.Is6() {
		literal = "IPv6:" + literal
	}
	protocol := map[[2]bool]string{{false, false}: "SMTP", {true, false}: "ESMTP", {false, true}: "SMTPS", {true, true}: "ESMTPS"}[[2]bool{e.ESMTP, e.TLS.On()}]
	var b strings.Builder
	fmt.Fprintf(&b, "Return-Path: <%s>\r\n", e.From.String())
	fmt.Fprintf(&b, "Received: from %s (%s [%s])\r\n\tby %s (Gatepost) with %s id %s", hostWord(e.Helo), hostWord(e.RemoteName), literal, hostWord(f.cfg.Hostname), protocol, hostWord(e.ID))
	if len(e.Rcpts) == 1 { // more would tell each of the others
		fmt.Fprintf(&b, "\r\n\tfor <%s>", e.Rcpts[0].String())
	}
	b.WriteString("; " + e.Time.Format(time.RFC1123Z) + "\r\n")
	return b.String()
}

// hostWord is a name as it may stand in a Received field: what a client calls itself must not read as more than a name.
func hostWord(s string) string {
	if s == "" {
		return "unknown"
	}
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".-_:[]", r) {
			return r
		}
		return '_'
	}, s)
	return s[:min(len(s), 255)]
}

// readLine reads one line without its end.
func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", fmt.Errorf("a line of its answer is longer than %d bytes", maxLine)
	case errors.Is(err, io.EOF):
		return "", fmt.Errorf("its answer was cut off: %w", io.ErrUnexpectedEOF)
	case err != nil:
		return "", fmt.Errorf("read answer: %w", err)
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

// readStatus reads the first line of an answer and returns its last words; anything but success is an error.
func readStatus(r *bufio.Reader) (string, error) {
	text, err := readLine(r)
	if err != nil {
		return "", err
	}
	words := strings.Fields(text)
	if len(words) < 2 || !strings.HasPrefix(words[0], "SPAMD/1.") || words[1] != "0" {
		return "", fmt.Errorf("it said %q", peer.ASCII(text, 100))
	}
	return strings.Join(words[2:], " "), nil
}

// readFields reads the fields of an answer, by lower-case names. What says something twice is refused.
func readFields(r *bufio.Reader) (map[string]string, error) {
	fields, total := map[string]string{}, 0
	for {
		text, err := readLine(r)
		if err != nil || text == "" {
			return fields, err
		}
		if total += len(text); total > maxHead {
			return nil, fmt.Errorf("its answer's head is longer than %d bytes", maxHead)
		}
		name, value, ok := strings.Cut(text, ":")
		if name = strings.ToLower(strings.TrimSpace(name)); !ok || name == "" || fields[name] != "" {
			return nil, fmt.Errorf("a field of its answer cannot be read: %q", peer.ASCII(text, 100))
		}
		fields[name] = strings.TrimSpace(value)
	}
}

// readAnswer reads a whole answer. The opinion must be there, the list of tests as long as it says, and nothing behind it.
func readAnswer(r *bufio.Reader) (a answer, err error) {
	if _, err := readStatus(r); err != nil {
		return a, err
	}
	fields, err := readFields(r)
	if err != nil {
		return a, err
	}
	if err := a.readOpinion(fields["spam"]); err != nil {
		return a, err
	}
	size, err := strconv.ParseUint(fields["content-length"], 10, 31)
	if err != nil || size > maxBody {
		return a, fmt.Errorf("it announces a list of %q bytes", peer.ASCII(fields["content-length"], 40))
	}
	body, err := io.ReadAll(io.LimitReader(r, int64(size)+3)) // a line end may follow
	if err != nil {
		return a, fmt.Errorf("read answer: %w", err)
	}
	if uint64(len(body)) < size || strings.Trim(string(body[size:]), "\r\n") != "" {
		return a, errors.New("its list of tests is not as long as it says")
	}
	for name := range strings.SplitSeq(strings.TrimSpace(string(body[:size])), ",") {
		if name = peer.ASCII(strings.TrimSpace(name), maxName); name != "" && len(a.tests) < maxTests {
			a.tests = append(a.tests, name)
		}
	}
	return a, nil
}

// readOpinion reads "True ; 7.3 / 5.0". An opinion that its own numbers gainsay is none; they are rounded.
func (a *answer) readOpinion(s string) error {
	word, numbers, _ := strings.Cut(s, ";")
	score, required, _ := strings.Cut(numbers, "/")
	var err error
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "true", "yes":
		a.spam = true
	case "false", "no":
	default:
		err = errors.New("no opinion")
	}
	if err == nil {
		a.score, err = strconv.ParseFloat(strings.TrimSpace(score), 64)
	}
	if err == nil {
		a.required, err = strconv.ParseFloat(strings.TrimSpace(required), 64)
	}
	if err != nil || !peer.Finite(a.score) || !peer.Finite(a.required) {
		return fmt.Errorf("its opinion cannot be read: %q", peer.ASCII(s, 100))
	}
	if over := a.score - a.required; math.Abs(over) > 0.11 && (over > 0) != a.spam {
		return fmt.Errorf("its opinion contradicts itself: %q", peer.ASCII(s, 100))
	}
	return nil
}

// ping asks for a sign of life.
func ping(ctx context.Context, p *peer.Peer) error {
	conn, end, err := p.Dial(ctx)
	if err != nil {
		return errors.Unwrap(err)
	}
	defer end()
	if _, err := io.WriteString(conn, "PING SPAMC/1.5\r\n\r\n"); err != nil {
		return err
	}
	word, err := readStatus(bufio.NewReaderSize(conn, maxLine))
	if err == nil && word != "PONG" {
		err = fmt.Errorf("it said %q to PING", peer.ASCII(word, 100))
	}
	return err
}
