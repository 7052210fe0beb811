package forward

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/smtp"
)

// By is how this gateway signs the Received fields it writes.
type By struct {
	Hostname string
	Instance string // tells the gateways of one hostname apart; letters and digits
}

// sign is what stands after "by": it is looked for again by Passes.
func (b By) sign() string {
	if b.Instance == "" {
		return b.Hostname + " (Gatepost)"
	}
	return b.Hostname + " (Gatepost " + b.Instance + ")"
}

// Received is the one Received field for a message that came with env (RFC 5321 section 4.4), folded, with its line ends.
// The recipient is named only if there is exactly one, so that none learns of another. Nothing that the client said can
// break out of its place: a HELO name that is no name is replaced by the address.
func Received(env *mail.Envelope, by By) string {
	var b strings.Builder
	b.Grow(384)
	b.WriteString("Received: from ")
	literal := addressLiteral(env.Remote)
	if named(env.Helo) {
		b.WriteString(env.Helo)
	} else {
		b.WriteString(literal)
	}
	b.WriteString(" (")
	if name := env.RemoteName; name != "" && named(name) {
		b.WriteString(name + " ")
	}
	b.WriteString(literal + ")\r\n")
	if env.TLS.On() {
		fmt.Fprintf(&b, "\t(using %s with cipher %s)\r\n", word(env.TLS.Version), word(env.TLS.Cipher))
	}
	fmt.Fprintf(&b, "\tby %s with %s id %s", by.sign(), protocol(env), env.ID)
	if len(env.Rcpts) == 1 {
		if rcpt := env.Rcpts[0].String(); env.SMTPUTF8 || ascii(rcpt) {
			b.WriteString("\r\n\tfor <" + rcpt + ">")
		}
	}
	b.WriteString(";\r\n\t" + env.Time.Format(time.RFC1123Z) + "\r\n")
	return b.String()
}

// protocol is the keyword after "with" (RFC 3848; RFC 6531 section 4.3).
func protocol(env *mail.Envelope) string {
	switch {
	case env.SMTPUTF8 && env.TLS.On():
		return "UTF8SMTPS"
	case env.SMTPUTF8:
		return "UTF8SMTP"
	case env.ESMTP && env.TLS.On():
		return "ESMTPS"
	case env.ESMTP:
		return "ESMTP"
	}
	return "SMTP"
}

// addressLiteral spells an address by RFC 5321 section 4.1.3.
func addressLiteral(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	switch {
	case !a.IsValid():
		return "unknown"
	case a.Is6():
		return "[IPv6:" + a.String() + "]"
	}
	return "[" + a.String() + "]"
}

// named reports whether s is spelt like a domain or an address literal, at most 255 bytes of it.
func named(s string) bool {
	if s == "" || len(s) > 255 {
		return false
	}
	inner := s
	if rest, ok := strings.CutPrefix(s, "["); ok {
		if inner, ok = strings.CutSuffix(rest, "]"); !ok {
			return false
		}
	}
	for i := range len(inner) {
		c := inner[i]
		ok := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' ||
			c == ':' && inner != s
		if !ok {
			return false
		}
	}
	return inner != ""
}

// word is s for a comment: what could end or open one is replaced.
func word(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '(' || r == ')' || r == '\\' {
			return '?'
		}
		return r
	}, s)
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// Passes counts the Received fields of a header, and among them those that this gateway wrote.
func Passes(header []mail.Field, by By) (all, ours int) {
	sign := "by " + by.sign()
	for _, f := range header {
		if !strings.EqualFold(f.Name, "Received") {
			continue
		}
		all++
		if strings.Contains(strings.Join(strings.Fields(f.Value), " "), sign) {
			ours++
		}
	}
	return all, ours
}

// Loop is the refusal of a message that goes round in a circle: it has most Received fields or more (RFC 5321 section
// 6.3), or came through this gateway twice before. It is nil for any other.
func Loop(header []mail.Field, by By, most int) *smtp.Reply {
	all, ours := Passes(header, by)
	if all < most && ours < 2 {
		return nil
	}
	return smtp.ReplyLoop()
}
