package milter

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"gatepost/filters/mail"
)

// The protocol has no RFC; its source are libmilter's mfapi.h and mfdef.h.
const (
	version    = 6
	allActions = 0x1ff    // add, change and insert fields, change the body, the sender and recipients, quarantine, ask for macros
	allSteps   = 0x1fffff // leave out any step or answer, skip, see refused recipients, see the blank behind the colon
	wantsSkip  = 0x400
	wantsBlank = 0x100000

	maxChunk  = 65_535  // octets of a part of the body
	maxPacket = 1 << 20 // octets of one answer; a new body comes in several
	maxKept   = 4 << 10 // octets of an answer that are looked at
	minRead   = 1 << 20 // octets of all answers together, beside twice the size of the message
	maxCount  = 100_000 // answers
)

// stages are the moments at which macros are sent: connect, helo, mail, rcpt, data, end of message, end of header.
const stages = 7

// leftOut are the bits by which a milter wants a step left out, or gives no answer to it.
var leftOut = map[byte]struct{ step, answer uint32 }{
	'C': {0x1, 0x1000}, 'H': {0x2, 0x2000}, 'M': {0x4, 0x4000}, 'R': {0x8, 0x8000}, 'B': {0x10, 0x80000}, 'L': {0x20, 0x80}, 'N': {0x40, 0x40000}, 'T': {0x200, 0x10000},
}

// defaults are the macros that are sent where the milter does not ask for others.
var defaults = [stages][]string{
	{"j", "_", "{daemon_name}", "{client_addr}", "{client_name}", "{client_ptr}", "v"}, {"{tls_version}", "{cipher}"}, {"i", "{mail_addr}", "{mail_host}", "{mail_mailer}"},
	{"i", "{rcpt_addr}", "{rcpt_host}", "{rcpt_mailer}"}, {"i"}, {"i"}, {"i"},
}

// macrosOf are all macros that are known, by stage: at each, those of the stages before as well.
func macrosOf(hostname string, e *mail.Envelope) (list [stages]map[string]string) {
	all := map[string]string{"j": hostname, "{daemon_name}": "gatepost", "v": "Gatepost"}
	if e != nil {
		all["i"] = e.ID
		if e.Remote.IsValid() {
			name := e.RemoteName
			if name == "" {
				name = "unknown"
			}
			all["{client_addr}"], all["{client_name}"], all["{client_ptr}"] = e.Remote.String(), name, name
			all["_"] = name + " [" + e.Remote.String() + "]"
		}
		if e.TLS.On() {
			all["{tls_version}"], all["{cipher}"] = e.TLS.Version, e.TLS.Cipher
		}
		all["{mail_addr}"], all["{mail_host}"], all["{mail_mailer}"] = e.From.String(), e.From.Domain(), "smtp"
		all["{rcpt_mailer}"] = "smtp"
	}
	for name, v := range all {
		if strings.Contains(v, "\x00") || v == "" {
			delete(all, name)
		}
	}
	for i := range list {
		list[i] = map[string]string{}
		for name, v := range all {
			list[i][name] = v
		}
	}
	return list
}

var be = binary.BigEndian

func number(n uint32) []byte { return be.AppendUint32(nil, n) }

// cstrings are texts that each end with NUL. Whoever calls knows that none holds one.
func cstrings(list ...string) (b []byte) {
	for _, s := range list {
		b = append(append(b, s...), 0)
	}
	return b
}

// A link reads and writes packets: the length, the code, the data. What is written is sent when an answer is waited for.
type link struct {
	r     *bufio.Reader
	w     *bufio.Writer
	wrote bool  // something, since the last answer
	left  int64 // octets that it may still say
	count int
	kept  []byte
}

// put writes a packet. An error shows at the next flush.
func (l *link) put(code byte, data ...[]byte) {
	n := 1
	for _, d := range data {
		n += len(d)
	}
	l.wrote = true
	l.w.Write(append(number(uint32(n)), code))
	for _, d := range data {
		l.w.Write(d)
	}
}

// next sends what was written and reads the next packet. data is the beginning of what the packet holds, up to maxKept, and is
// valid until the next call; the rest is read and forgotten, so that no length makes anybody allocate.
func (l *link) next() (code byte, data []byte, err error) {
	if l.wrote && l.r.Buffered() > 0 {
		return 0, nil, errors.New("it answers what it was not asked")
	}
	l.wrote = false
	if err := l.w.Flush(); err != nil {
		return 0, nil, err
	}
	var head [5]byte
	if _, err := io.ReadFull(l.r, head[:4]); err != nil {
		return 0, nil, cut(err)
	}
	n := int64(be.Uint32(head[:]))
	l.left -= n
	l.count++
	switch {
	case n == 0:
		return 0, nil, errors.New("it sent an empty packet")
	case n > maxPacket:
		return 0, nil, fmt.Errorf("it sent a packet of %d bytes", n)
	case l.left < 0 || l.count > maxCount:
		return 0, nil, errors.New("it says more than there is to say")
	}
	if _, err := io.ReadFull(l.r, head[4:]); err != nil {
		return 0, nil, cut(err)
	}
	if l.kept == nil {
		l.kept = make([]byte, maxKept)
	}
	n--
	kept := l.kept[:min(n, maxKept)]
	if _, err := io.ReadFull(l.r, kept); err != nil {
		return 0, nil, cut(err)
	}
	if _, err := l.r.Discard(int(n) - len(kept)); err != nil {
		return 0, nil, cut(err)
	}
	return head[4], kept, nil
}

// cut is an end within an answer.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read answer: %w", err)
}

// change reads a request for a change (mfapi.h, modification actions): of which kind it is, and what in words; no kind for any
// other packet. The data may be only the beginning of the packet.
func change(code byte, b []byte) (kind, what string, err error) {
	texts := func(b []byte) []string { return strings.SplitN(strings.TrimRight(string(b), "\x00"), "\x00", 3) }
	var index uint32
	if code == 'm' || code == 'i' {
		if len(b) < 5 {
			return "", "", errors.New("it changes a header field that it does not name")
		}
		index, b = be.Uint32(b), b[4:]
	}
	t := texts(b)
	switch code {
	case 'h', 'm', 'i', '+', '2', '-', 'q', 'e':
		if t[0] == "" && code != 'q' {
			return "", "", fmt.Errorf("it asks for a change %q of nothing", code)
		}
	case 'b':
		return "change", "another body", nil
	default:
		return "", "", nil
	}
	value := ""
	if len(t) > 1 {
		value = strings.TrimSpace(t[1])
	}
	switch code {
	case 'h', 'i':
		return "change", "add header " + t[0] + ": " + value, nil
	case 'm':
		if value == "" {
			return "change", fmt.Sprintf("take out header %s (%d)", t[0], index), nil
		}
		return "change", fmt.Sprintf("change header %s (%d): %s", t[0], index, value), nil
	case '+', '2':
		return "change", "add recipient " + t[0], nil
	case '-':
		return "change", "take out recipient " + t[0], nil
	case 'e':
		return "change", "change sender: " + t[0], nil
	}
	return "quarantine", "hold: " + t[0], nil
}
