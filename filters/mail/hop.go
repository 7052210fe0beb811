package mail

import (
	"net/netip"
	"strings"
	"time"
)

// A Hop is what one Received field says (RFC 5321 section 4.4): who gave the message to whom, and when. Whoever sends a
// message can put such fields into it, so a hop is a claim, but for those that servers of the site wrote.
type Hop struct {
	Field   Field
	Helo    string     // what the client called itself, as written
	Name    string     // the client's reverse name, where the server says one
	Unnamed bool       // the server says that the client has none
	Addr    netip.Addr // the client's address, unmapped; invalid where the server says none
	By      string     // what the server calls itself
	With    string     // the protocol, such as ESMTPS
	For     string     // whom the message was for, without angle brackets
	Time    time.Time  // zero if it cannot be read
}

const (
	maxHops = 50      // Received fields that are read; programs give up at 25 to 100 (RFC 5321 section 6.3)
	maxHop  = 4 << 10 // octets of one field that are read
)

// Hops are the steps that the message says it took, the newest first: those Received fields that name a client, at most
// the 50 newest.
func (m *Message) Hops() []Hop {
	var list []Hop
	n := 0
	for f := range m.named("Received") {
		if n++; n > maxHops {
			break
		}
		if h, ok := ReadHop(*f); ok {
			list = append(list, h)
		}
	}
	return list
}

// ReadHop reads a Received field as the usual servers write it: the address that the server itself saw stands in a
// comment, or, where no comment has one, in the name's place. What the client said of itself is never taken for the
// address. It is false for a field that names no client.
func ReadHop(f Field) (Hop, bool) {
	h := Hop{Field: f}
	rest, found := cutWord(Unfold(f.Value[:min(len(f.Value), maxHop)]), "from")
	if !found {
		return h, false
	}
	name, comments, rest := fromClause(rest)
	h.Helo = name
	for _, c := range comments {
		said, seen, named := splitComment(c)
		if named {
			h.Helo = said
			h.reverse(name) // qmail and Exim put it before the comment
		}
		for word := range strings.FieldsSeq(seen) {
			if a, good := addressIn(word); !good {
				h.reverse(word)
			} else if !h.Addr.IsValid() {
				h.Addr = a
			}
		}
	}
	if !h.Addr.IsValid() {
		h.Addr, _ = addressIn(name)
	}
	h.By, h.With, h.For = clause(rest, "by"), clause(rest, "with"), strings.Trim(clause(rest, "for"), "<>")
	if n := strings.LastIndexByte(rest, ';'); n >= 0 {
		h.Time = readDate(numericZone(strings.TrimSpace(rest[n+1:])))
	}
	return h, true
}

// numericZone puts numbers in place of the letters of a time zone at the end of a date, as far as they mean something
// (RFC 5322 section 4.3); a date in a zone that nobody knows is none.
func numericZone(date string) string {
	n := strings.LastIndexByte(date, ' ') + 1
	switch word := strings.ToUpper(date[n:]); word {
	case "EDT":
		return date[:n] + "-0400"
	case "EST", "CDT":
		return date[:n] + "-0500"
	case "CST", "MDT":
		return date[:n] + "-0600"
	case "MST", "PDT":
		return date[:n] + "-0700"
	case "PST":
		return date[:n] + "-0800"
	case "GMT", "UT", "UTC":
		return date[:n] + "+0000"
	default:
		if word != "" && isWord(word) && strings.Trim(word, "0123456789") == word {
			return ""
		}
		return date
	}
}

// reverse takes a word as the client's reverse name if it can be one.
func (h *Hop) reverse(word string) {
	word = word[strings.LastIndexByte(word, '@')+1:] // Sendmail puts the user that identd told before it
	word = strings.TrimRight(word, ".,;")
	switch {
	case h.Name != "":
	case strings.EqualFold(word, "unknown"):
		h.Unnamed = true
	case len(word) <= maxDomain && strings.Contains(word, ".") && isHostname(word):
		if _, isAddress := addressIn(word); !isAddress {
			h.Name, h.Unnamed = strings.ToLower(word), false
		}
	}
}

// cutWord cuts a leading word off, whatever its case.
func cutWord(s, word string) (string, bool) {
	if len(s) <= len(word) || !strings.EqualFold(s[:len(word)], word) || s[len(word)] != ' ' && s[len(word)] != '\t' {
		return s, false
	}
	return strings.TrimLeft(s[len(word):], " \t"), true
}

// clause is the word behind another that stands outside of comments.
func clause(s, word string) string {
	depth, start := 0, 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] != ' ' && s[i] != '\t' && s[i] != '(' && s[i] != ')' {
			continue
		}
		if depth == 0 {
			if after, ok := cutWord(s[start:], word); ok && strings.EqualFold(s[start:i], word) {
				return strings.TrimRight(after[:wordEnd(after)], ";,")
			}
		}
		if i < len(s) && s[i] == '(' {
			depth++
		} else if i < len(s) && s[i] == ')' && depth > 0 {
			depth--
		}
		start = i + 1
	}
	return ""
}

// fromClause is the word behind "from", the comments that follow it, and what follows these.
func fromClause(s string) (name string, comments []string, rest string) {
	end := strings.IndexAny(s, " \t(")
	if end < 0 {
		return s, nil, ""
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
			return name, comments, ""
		}
		comments = append(comments, s[1:i])
		s = strings.TrimLeft(s[i+1:], " \t")
	}
	return name, comments, s
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

// wordEnd is where the word ends with which s begins.
func wordEnd(s string) int {
	if n := strings.IndexAny(s, " \t("); n >= 0 {
		return n
	}
	return len(s)
}
