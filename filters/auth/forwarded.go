package auth

import (
	"net/netip"
	"slices"
	"strings"

	"gatepost/filters/mail"
)

// A client is who handed the message to this site: the client of the session, or, behind a trusted forwarder, the one
// that the forwarder names in its Received field.
type client struct {
	ip    netip.Addr
	helo  string
	name  string     // reverse name that leads back, if the session found it
	by    mail.Field // the Received field that names it; zero for the session's own client
	lost  bool       // the forwarder's field cannot be read, so nobody knows
	steps int        // trusted forwarders on the way
}

// maxForwarders is how many trusted forwarders a message may have passed in a row.
const maxForwarders = 8

// client finds who handed the message to the site. Received fields are believed from the top down, and only as long as
// the one who wrote each is a trusted forwarder: what stands below could have been made up.
func (f *Filter) client(env *mail.Envelope, m *mail.Message) client {
	c := client{ip: env.Remote, helo: env.Helo, name: env.RemoteName}
	if len(f.cfg.TrustedForwarders) == 0 || m == nil {
		return c
	}
	for _, field := range m.Header {
		if c.steps >= maxForwarders || !f.forwards(c.ip) {
			break
		}
		if !strings.EqualFold(field.Name, "Received") {
			continue
		}
		ip, helo, ok := receivedFrom(field.Value)
		if !ok {
			return client{by: field, lost: true, steps: c.steps + 1}
		}
		c = client{ip: ip, helo: helo, by: field, steps: c.steps + 1}
	}
	return c
}

// forwards reports whether ip is a trusted forwarder's.
func (f *Filter) forwards(ip netip.Addr) bool {
	return ip.IsValid() && slices.ContainsFunc(f.cfg.TrustedForwarders, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// receivedFrom reads the client's address and its HELO name from a Received field (RFC 5321 section 4.4), as the usual
// servers write it: the address that the server itself saw stands in the comment, or, where no comment has one, in the
// name's place. What the client said of itself is never taken for the address.
func receivedFrom(value string) (ip netip.Addr, helo string, ok bool) {
	value = mail.Unfold(value)
	rest, found := cutWord(strings.TrimSpace(value), "from")
	if !found {
		return ip, "", false
	}
	name, comments := fromClause(rest)
	helo = name
	for _, c := range comments {
		said, seen, named := splitComment(c)
		if named {
			helo = said
		}
		for word := range strings.FieldsSeq(seen) {
			if a, good := addressIn(word); good && !ok {
				ip, ok = a, true
			}
		}
	}
	if !ok {
		ip, ok = addressIn(name)
	}
	return ip, helo, ok
}

// cutWord cuts a leading word off, whatever its case.
func cutWord(s, word string) (string, bool) {
	if len(s) <= len(word) || !strings.EqualFold(s[:len(word)], word) || s[len(word)] != ' ' && s[len(word)] != '\t' {
		return s, false
	}
	return strings.TrimLeft(s[len(word):], " \t"), true
}

// fromClause is the word behind "from" and the comments that follow it, up to the next clause.
func fromClause(s string) (name string, comments []string) {
	end := strings.IndexAny(s, " \t(")
	if end < 0 {
		return s, nil
	}
	name, s = s[:end], strings.TrimLeft(s[end:], " \t")
	for strings.HasPrefix(s, "(") {
		depth, i := 0, 0
		for ; i < len(s); i++ {
			if s[i] == '(' {
				depth++
			} else if s[i] == ')' {
				if depth--; depth == 0 {
					break
				}
			}
		}
		if i == len(s) {
			return name, comments
		}
		comments = append(comments, s[1:i])
		s = strings.TrimLeft(s[i+1:], " \t")
	}
	return name, comments
}

// splitComment tells what a comment says the client called itself from what the server saw: "HELO name" and
// "helo=name" are the client's words.
func splitComment(c string) (said, seen string, named bool) {
	for _, word := range [...]string{"HELO", "EHLO"} {
		if rest, ok := cutWord(c, word); ok {
			said, seen, _ = strings.Cut(rest, " ")
			return said, seen, true
		}
	}
	words := strings.Fields(c)
	kept := words[:0]
	for _, w := range words {
		if v, ok := strings.CutPrefix(w, "helo="); ok {
			said, named = v, true
			continue
		}
		kept = append(kept, w)
	}
	return said, strings.Join(kept, " "), named
}

// addressIn reads 192.0.2.1, [192.0.2.1], [IPv6:2001:db8::1] and [192.0.2.1]:25.
func addressIn(word string) (netip.Addr, bool) {
	if strings.HasPrefix(word, "[") {
		word, _, _ = strings.Cut(word[1:], "]")
		if len(word) > 5 && strings.EqualFold(word[:5], "IPv6:") {
			word = word[5:]
		}
	}
	a, err := netip.ParseAddr(strings.TrimRight(word, ",;"))
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

// tellForwarded says whom a trusted forwarder had the message from.
func (r *run) tellForwarded() {
	c := r.client
	if c.steps == 0 {
		return
	}
	what := at("header Received", c.by.Span, c.by.Value)
	from := addrName(r.m.Remote)
	if c.lost {
		r.add("auth.forwarded-unknown", "Trusted forwarder "+from+" does not say whom it had the message from.", what)
		return
	}
	r.add("auth.forwarded", "Trusted forwarder "+from+" had the message from "+addrName(c.ip)+", for which SPF and the reverse name are checked.", what)
}
