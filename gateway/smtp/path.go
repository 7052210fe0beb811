package smtp

import (
	"net/netip"
	"strings"
	"unicode/utf8"

	"gatepost/filters/mail"
)

// maxPath bounds a path with its angle brackets (RFC 5321 section 4.5.3.1.3).
const maxPath = 256

// cutPath takes the path from the start of s, which stands behind the colon of FROM: or TO:. It returns the mailbox
// between the angle brackets without a source route, which is ignored as RFC 5321 appendix C allows, and what follows
// the path. A mailbox without angle brackets, as many programs send it, is taken if it has no character that could
// bound it in another way.
func cutPath(s string) (mailbox, rest string, ok bool) {
	s = strings.TrimLeft(s, " ")
	if s == "" || s[0] != '<' {
		mailbox, rest, _ = strings.Cut(s, " ")
		rest = strings.TrimLeft(rest, " ")
		return mailbox, rest, mailbox != "" && len(mailbox)+2 <= maxPath && bounded(mailbox) && !strings.Contains(mailbox, `"`)
	}
	end := pathEnd(s)
	if end < 0 || end+1 > maxPath {
		return "", "", false
	}
	mailbox, rest = s[1:end], s[end+1:]
	if rest != "" && rest[0] != ' ' {
		return "", "", false
	}
	if strings.HasPrefix(mailbox, "@") {
		if mailbox, ok = cutRoute(mailbox); !ok {
			return "", "", false
		}
	}
	return mailbox, strings.TrimLeft(rest, " "), mailbox == "" || bounded(mailbox)
}

// pathEnd is the index of the '>' that ends the path at the start of s, or -1. A '>' in a quoted string is content.
func pathEnd(s string) int {
	quoted := false
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			quoted = !quoted
		case '\\':
			if quoted {
				i++
			}
		case '>':
			if !quoted {
				return i
			}
		}
	}
	return -1
}

// cutRoute drops the source route "@a,@b:" from the start of s.
func cutRoute(s string) (mailbox string, ok bool) {
	for {
		if !strings.HasPrefix(s, "@") {
			return "", false
		}
		s = s[1:]
		end := strings.IndexAny(s, ",:")
		if strings.HasPrefix(s, "[") {
			if end = strings.IndexByte(s, ']') + 1; end == 0 || end == len(s) {
				return "", false
			}
		}
		if end <= 0 || !helloName(s[:end]) {
			return "", false
		}
		next := s[end]
		s = s[end+1:]
		switch next {
		case ':':
			return s, s != ""
		case ',':
		default:
			return "", false
		}
	}
}

// bounded reports whether nothing in the mailbox s could be taken for its end or for another mailbox: one quoted
// string at most, and that at its start; exactly one "@" outside of it; no blank, bracket or control outside of it.
// A name alone, such as postmaster, is bounded too.
func bounded(s string) bool {
	i := 0
	switch s[0] {
	case '@':
		return false
	case '"':
		for i = 1; ; i++ {
			if i >= len(s) || s[i] < ' ' || s[i] == 0x7f {
				return false
			}
			if s[i] == '"' {
				break
			}
			if s[i] == '\\' {
				if i++; i >= len(s) || s[i] < ' ' || s[i] > '~' {
					return false
				}
			}
		}
		i++
		if i >= len(s) || s[i] != '@' {
			return false
		}
	}
	ats := 0
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case c == '@':
			ats++
		case c <= ' ', c == 0x7f, strings.IndexByte(`<>()\",;`, c) >= 0:
			return false
		case strings.IndexByte(`[]:`, c) >= 0 && ats == 0:
			return false
		}
	}
	return ats <= 1
}

// parseMailbox makes the mailbox of a path an Address. utf8OK says that SMTPUTF8 was given; without it an address
// outside ASCII is refused as such. parse reads it, and bad is the refusal of a malformed one.
func parseMailbox(s string, utf8OK bool, parse func(string) (mail.Address, error), bad *Reply) (mail.Address, *Reply) {
	if !ascii(s) {
		if !utf8OK {
			return mail.Address{}, ReplyNeedsUTF8()
		}
		if !utf8.ValidString(s) {
			return mail.Address{}, bad
		}
	}
	a, err := parse(s)
	if err != nil {
		return mail.Address{}, bad
	}
	return a, nil
}

// ascii reports whether s has no octet above 127.
func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// maxParams bounds the parameters of one command; more than exist is not a mail client.
const maxParams = 8

// parseMailParams reads the parameters of MAIL against what was offered. limit is the largest SIZE that may be
// declared.
func parseMailParams(s string, caps Capabilities, limit int64) (p MailParams, refused *Reply) {
	var size, body bool
	for n := 0; s != ""; n++ {
		var param string
		param, s, _ = strings.Cut(s, " ")
		s = strings.TrimLeft(s, " ")
		key, value, hasValue := strings.Cut(param, "=")
		if n == maxParams || !esmtpParam(key, value, hasValue) {
			return p, ReplyBadArgument("MAIL FROM:<address> [NAME=value ...]")
		}
		switch {
		case strings.EqualFold(key, "SIZE") && caps.Size > 0:
			if size {
				return p, ReplyBadArgument("SIZE once")
			}
			size = true
			if p.Size, refused = parseSize(value, limit); refused != nil {
				return p, refused
			}
		case strings.EqualFold(key, "BODY") && (caps.EightBit || strings.EqualFold(value, "7BIT")):
			p.EightBit = strings.EqualFold(value, "8BITMIME")
			if body {
				return p, ReplyBadArgument("BODY once")
			}
			if !p.EightBit && !strings.EqualFold(value, "7BIT") {
				return p, ReplyBadParameter()
			}
			body = true
		case strings.EqualFold(key, "SMTPUTF8") && caps.SMTPUTF8:
			if p.SMTPUTF8 || hasValue {
				return p, ReplyBadArgument("SMTPUTF8 once, without a value")
			}
			p.SMTPUTF8 = true
		default:
			return p, ReplyBadParameter()
		}
	}
	return p, nil
}

// parseSize reads the value of SIZE (RFC 1870 section 5): digits alone; what is beyond limit, however long, is too
// large.
func parseSize(s string, limit int64) (int64, *Reply) {
	if s == "" {
		return 0, ReplyBadArgument("SIZE=octets")
	}
	var n int64
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, ReplyBadArgument("SIZE=octets")
		}
		if n <= limit {
			n = n*10 + int64(s[i]-'0')
		}
	}
	if n > limit {
		return 0, ReplyTooLarge()
	}
	return n, nil
}

// esmtpParam reports whether key and value have the form of RFC 5321 section 4.1.2, esmtp-param.
func esmtpParam(key, value string, hasValue bool) bool {
	if key == "" || hasValue && value == "" {
		return false
	}
	for i := 0; i < len(key); i++ {
		if !alphanumeric(key[i]) && (key[i] != '-' || i == 0) {
			return false
		}
	}
	for i := 0; i < len(value); i++ {
		if value[i] <= ' ' || value[i] == '=' || value[i] == 0x7f {
			return false
		}
	}
	return true
}

// helloName reports whether s is what EHLO and HELO may give: a domain of letters, digits, hyphens and underscores, or
// an address literal (RFC 5321 sections 4.1.1.1 and 4.1.3).
func helloName(s string) bool {
	if len(s) == 0 || len(s) > 255 {
		return false
	}
	if s[0] == '[' {
		return addressLiteral(s)
	}
	label := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case alphanumeric(c), c == '_':
			label++
		case c == '-' && label > 0:
			label++
		case c == '.' && label > 0 && s[i-1] != '-':
			label = 0
			continue
		default:
			return false
		}
		if label > 63 {
			return false
		}
	}
	return s[len(s)-1] != '-' && s != "."
}

// addressLiteral reports whether s is an IPv4 or IPv6 address literal in brackets.
func addressLiteral(s string) bool {
	if len(s) < 3 || s[len(s)-1] != ']' {
		return false
	}
	s = s[1 : len(s)-1]
	const tag = "IPv6:"
	six := len(s) > len(tag) && strings.EqualFold(s[:len(tag)], tag)
	if six {
		s = s[len(tag):]
	}
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is6() == six && a.Zone() == ""
}

// alphanumeric reports whether c is an ASCII letter or digit.
func alphanumeric(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
}
