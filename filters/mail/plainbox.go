package mail

import "strings"

// appendMailboxes is ParseMailboxes, with a quick way for what nearly every field holds.
func appendMailboxes(list []Mailbox, value string) []Mailbox {
	if m, ok := plainMailbox(value); ok {
		return append(list, m)
	}
	r := mailboxReader{s: value}
	r.read()
	if list == nil {
		return r.list
	}
	return append(list, r.list...)
}

// plainMailbox reads a field with one mailbox that no program reads in another way: an address of plain characters,
// alone or in angle brackets behind a phrase without syntax, or behind one quoted-string. ok is false for all else,
// which the mailboxReader reads.
func plainMailbox(value string) (m Mailbox, ok bool) {
	s := strings.Trim(value, " \t\r\n")
	spec := s
	if n := len(s) - 1; n >= 0 && s[n] == '>' {
		open := strings.LastIndexByte(s, '<')
		if open < 0 {
			return m, false
		}
		spec = s[open+1 : n]
		if m.Name, ok = plainPhrase(strings.Trim(s[:open], " \t\r\n")); !ok {
			return m, false
		}
	} else if len(s) == 0 || s[0] == '.' {
		return m, false
	}
	at := strings.IndexByte(spec, '@')
	if at <= 0 || !plainLocal(spec[:at]) || !isHostname(spec[at+1:]) || hasALabel(spec[at+1:]) {
		return m, false
	}
	m.Address, m.Domain = spec, strings.ToLower(spec[at+1:])
	return m, true
}

// plainPhrase is the display name that everyone reads in s: words without syntax, or one quoted-string.
func plainPhrase(s string) (string, bool) {
	if n := len(s) - 1; n > 0 && s[0] == '"' && s[n] == '"' {
		s = s[1:n]
		for i := 0; i < len(s); i++ {
			if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '@' || c == '=' {
				return "", false
			}
		}
		return strings.Trim(s, " "), true
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c > '~' || c == '=' || isDelimiter(c) && c != ' ' || c == '[' {
			return "", false
		}
	}
	return s, true
}

// plainLocal reports whether s is made of the characters of a dot-atom (RFC 5322 section 3.2.3) without "=", which
// may begin an encoded-word.
func plainLocal(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c <= ' ' || c > '~' || c == '=' || c == '[' || c == ']' || isDelimiter(c) {
			return false
		}
	}
	return true
}
