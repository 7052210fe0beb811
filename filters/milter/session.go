package milter

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/filters/peer"
)

// A session is one conversation with a milter, about one message.
type session struct {
	link
	version uint32
	wants   uint32 // which steps, and which answers, the milter wants left out
	macros  [stages]map[string]string
	asked   [stages][]string // names of macros by stage; nil: all that there are

	said    map[string][]string // what the milter asks for, by the kinds of codes.go
	skip    bool                // no more of this step
	settled bool                // the milter has decided about the whole message
	last    string              // of which kind the last refusal was
}

// newSession begins a conversation about a message of so many octets.
func newSession(conn io.ReadWriter, macros [stages]map[string]string, size int64) *session {
	return &session{
		link:   link{r: bufio.NewReaderSize(conn, 4<<10), w: bufio.NewWriterSize(conn, 16<<10), left: minRead + 2*size},
		macros: macros, said: map[string][]string{},
	}
}

// maxSaid is how many requests of one kind are kept as evidence.
const maxSaid = 8

// note keeps what the milter asks for.
func (s *session) note(kind, what string) {
	if len(s.said[kind]) < maxSaid {
		s.said[kind] = append(s.said[kind], peer.ASCII(what, 180))
	}
}

// findings states what the milter asked for, in the order of codes.go.
func (s *session) findings(name string) (list []filters.Finding) {
	codes := codesOf(name)
	for i, k := range kinds {
		var proof []filters.Evidence
		for _, what := range s.said[k.name] {
			proof = append(proof, filters.Evidence{Where: "milter " + name, What: what})
		}
		if len(proof) > 0 {
			list = append(list, filters.State(codes, codes[i].Name, proof...))
		}
	}
	return list
}

// converse goes through the steps of one message until the milter has decided.
func (s *session) converse(m *mail.Mail) error {
	steps := []func(*mail.Mail) error{s.connect, s.helo, s.mail, s.rcpts, s.data, s.header, s.body, s.end}
	if err := s.negotiate(); err != nil {
		return err
	}
	for _, step := range steps {
		if err := step(m); err != nil {
			return err
		}
		if s.settled {
			break
		}
	}
	s.quit() // what was said counts, whether it hears this or not
	return nil
}

// negotiate agrees on what is spoken about. A milter may want less than what is offered, never more.
func (s *session) negotiate() error {
	s.put('O', number(version), number(allActions), number(allSteps))
	code, b, err := s.next()
	if err != nil {
		return err
	}
	if code != 'O' || len(b) < 12 {
		return fmt.Errorf("it said %q in place of its options", code)
	}
	s.version, s.wants = be.Uint32(b), be.Uint32(b[8:])
	switch actions := be.Uint32(b[4:]); {
	case s.version < 2 || s.version > version:
		return fmt.Errorf("it speaks version %d", s.version)
	case actions&^allActions != 0 || s.wants&^allSteps != 0:
		return errors.New("it wants what was not offered")
	}
	return s.readAsked(b[12:])
}

// readAsked reads which macros the milter wants to see: a stage and a list of names, again and again.
func (s *session) readAsked(b []byte) error {
	for len(b) > 0 {
		end := -1
		if len(b) > 4 {
			end = bytes.IndexByte(b[4:], 0)
		}
		if end < 0 {
			return errors.New("its list of macros is cut off")
		}
		if stage := be.Uint32(b); stage < stages {
			s.asked[stage] = append([]string{}, strings.FieldsFunc(string(b[4:4+end]), func(r rune) bool { return r == ' ' || r == ',' })...)
		}
		b = b[4+end+1:]
	}
	return nil
}

// tell sends the macros that go before a command.
func (s *session) tell(stage int, command byte) {
	known := s.macros[stage]
	names := s.asked[stage]
	if names == nil {
		names = defaults[stage]
	}
	data := []byte{command}
	for _, name := range names {
		if bare := strings.Trim(name, "{}"); len(bare) == 1 {
			name = bare
		} else {
			name = "{" + bare + "}"
		}
		if v, ok := known[name]; ok {
			data = append(data, cstrings(name, v)...)
		}
	}
	if len(data) > 1 {
		s.put('D', data)
	}
}

// step sends a command, if the milter wants it, and reads its answer, if it gives one. what it is about is said where it refuses.
func (s *session) step(command byte, about string, data ...[]byte) error {
	left := leftOut[command]
	if s.wants&left.step != 0 || command == 'T' && s.version < 4 {
		return nil
	}
	s.put(command, data...)
	if s.wants&left.answer != 0 {
		return nil
	}
	code, b, err := s.answer()
	if err != nil {
		return err
	}
	return s.take(code, b, about)
}

// answer is the next answer that is more than a sign of life.
func (s *session) answer() (byte, []byte, error) {
	for {
		code, b, err := s.next()
		if err != nil || code != 'p' {
			return code, b, err
		}
	}
}

// take keeps an answer to a command.
func (s *session) take(code byte, b []byte, about string) error {
	switch code {
	case 'c':
		return nil
	case 'a':
		s.settled = true
		return nil
	case 's':
		if s.wants&wantsSkip == 0 {
			return errors.New("it skips what it did not agree on")
		}
		s.skip = true
		return nil
	case 'r', 't', 'd', 'y':
		kind, reply, err := refusal(code, b)
		if err != nil {
			return err
		}
		s.settled, s.last = true, kind
		s.note(kind, about+": "+reply)
		return nil
	}
	return fmt.Errorf("it said %q", code)
}

// refusal reads an answer against the message: SMFIR_REJECT, TEMPFAIL, DISCARD or REPLYCODE.
func refusal(code byte, b []byte) (kind, reply string, err error) {
	switch code {
	case 'r':
		return "reject", "refused", nil
	case 't':
		return "tempfail", "refused for now", nil
	case 'd':
		return "discard", "let vanish", nil
	}
	reply, _, _ = strings.Cut(string(b), "\x00")
	if len(reply) >= 3 && strings.Trim(reply[:3], "0123456789") == "" && (len(reply) == 3 || reply[3] == ' ' || reply[3] == '-') {
		switch reply[0] {
		case '4':
			return "tempfail", reply, nil
		case '5':
			return "reject", reply, nil
		}
	}
	return "", "", fmt.Errorf("it replies %q", peer.ASCII(reply, 80))
}

func (s *session) connect(m *mail.Mail) error {
	s.tell(0, 'C')
	host, where := "localhost", []byte{'U'}
	if e := m.Envelope; e != nil && e.Remote.IsValid() {
		family := byte('4')
		if e.Remote.Is6() {
			family = '6'
		}
		if host = e.RemoteName; host == "" {
			host = "[" + e.Remote.String() + "]"
		}
		where = append([]byte{family, 0, 0}, cstrings(e.Remote.String())...) // nobody asks for the port
	}
	return s.step('C', "connection", cstrings(host), where)
}

func (s *session) helo(m *mail.Mail) error {
	s.tell(1, 'H')
	name := "localhost"
	if m.Envelope != nil && m.Envelope.Helo != "" {
		name = m.Envelope.Helo
	}
	return s.step('H', "HELO", cstrings(name))
}

func (s *session) mail(m *mail.Mail) error {
	s.tell(2, 'M')
	from := []string{"<>"}
	if e := m.Envelope; e != nil {
		from[0] = "<" + e.From.String() + ">"
		if e.Body8Bit {
			from = append(from, "BODY=8BITMIME")
		}
		if e.SMTPUTF8 {
			from = append(from, "SMTPUTF8")
		}
	}
	return s.step('M', "MAIL", cstrings(from...))
}

// rcpts names the recipients. A milter that refuses one of them has not decided about the others.
func (s *session) rcpts(m *mail.Mail) error {
	if m.Envelope == nil {
		return nil
	}
	refused := 0
	for _, r := range m.Rcpts {
		s.macros[3]["{rcpt_addr}"], s.macros[3]["{rcpt_host}"] = r.String(), r.Domain()
		s.tell(3, 'R')
		s.last = ""
		if err := s.step('R', "RCPT <"+r.String()+">", cstrings("<"+r.String()+">")); err != nil {
			return err
		}
		if s.last == "reject" || s.last == "tempfail" {
			refused++
			s.settled = false
		}
		if s.settled || s.skip {
			break
		}
	}
	s.skip = false
	s.settled = s.settled || refused > 0 && refused == len(m.Rcpts)
	return nil
}

func (s *session) data(*mail.Mail) error {
	if s.version >= 4 {
		s.tell(4, 'T')
	}
	return s.step('T', "DATA")
}

// header sends the fields. Lines within one end with LF, as Sendmail and Postfix send them; the blank behind the colon is a part
// of the value only where the milter asked for it.
func (s *session) header(m *mail.Mail) error {
	for _, h := range m.Header {
		value := strings.ReplaceAll(h.Value, "\r\n", "\n")
		if s.wants&wantsBlank == 0 {
			value = strings.TrimPrefix(value, " ")
		}
		if err := s.step('L', "header "+h.Name, cstrings(h.Name, value)); err != nil {
			return err
		}
		if s.settled {
			return nil
		}
		if s.skip {
			break
		}
	}
	s.skip = false
	s.tell(6, 'N')
	return s.step('N', "header")
}

// body sends the content.
func (s *session) body(m *mail.Mail) error {
	if s.wants&leftOut['B'].step != 0 {
		return nil
	}
	sp := m.BodySpan()
	r := io.NewSectionReader(m.Source, sp.Start, sp.End-sp.Start)
	chunk := make([]byte, maxChunk)
	for {
		n, err := io.ReadFull(r, chunk)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("read message: %w", err)
		}
		if n > 0 {
			if err := s.step('B', "body", chunk[:n]); err != nil {
				return err
			}
		}
		if err != nil || s.settled || s.skip {
			s.skip = false
			return nil
		}
	}
}

// end says that this was all, and reads what the milter would change before it decides.
func (s *session) end(*mail.Mail) error {
	s.tell(5, 'E')
	s.put('E')
	for {
		code, b, err := s.answer()
		if err != nil {
			return err
		}
		kind, what, err := change(code, b)
		if err != nil {
			return err
		}
		if kind == "" {
			if code == 's' {
				return errors.New("it skips the end")
			}
			s.settled = true
			return s.take(code, b, "message")
		}
		s.note(kind, what)
	}
}

// quit says goodbye: before the end of a message, that it was given up first.
func (s *session) quit() error {
	if s.settled {
		s.put('A')
	}
	s.put('Q')
	return s.w.Flush()
}
