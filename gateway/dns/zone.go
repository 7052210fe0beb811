package dns

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	mdns "github.com/miekg/dns"
)

// A fault is what a zone does instead of answering.
type fault int

const (
	faultNone fault = iota
	faultTimeout
	faultServfail
	faultRefused
)

// A node is one owner name of a zone.
type node struct {
	records   map[uint16][]mdns.RR
	faults    map[uint16]fault // by type; 0 is every type without records
	delay     time.Duration
	truncated bool // over UDP nothing but the TC bit
	authentic bool // answered with the AD bit, as a resolver does that has validated it
}

// A zone is a set of names with their records, compiled from text. It is immutable.
type zone struct{ nodes map[string]*node }

// parseZone reads one record a line: "name [TTL] TYPE value". The types are A, AAAA, CNAME, MX ("10 host"), NS, PTR,
// TLSA and TXT; a TXT value is the rest of the line as one text, or several texts in double quotes, with \DDD for
// any byte, that make one record; a space in a name is \032. TYPE or value may be TIMEOUT, SERVFAIL or REFUSED, TYPE for all types of which
// the name has no records; "name TRUNCATED" makes UDP answers useless and
// "name DELAY 200ms" makes them late; "name AUTHENTIC" has answers say that they were validated (AD). A leading "*." matches every name below that has no node of its own. Empty
// lines and lines that start with "#" or ";" are skipped.
func parseZone(text string) (*zone, error) {
	z := &zone{nodes: map[string]*node{}}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if err := z.add(line); err != nil {
			return nil, fmt.Errorf("read zone line %d: %w", i+1, err)
		}
	}
	return z, nil
}

// add compiles one line into the zone.
func (z *zone) add(line string) error {
	name, rest := word(line)
	kind, value := word(rest)
	ttl := 300
	if n, err := strconv.Atoi(kind); err == nil {
		ttl = n
		kind, value = word(value)
	}
	kind = strings.ToUpper(kind)
	name = strings.ReplaceAll(name, `\032`, `\ `)
	n := z.node(strings.ToLower(strings.TrimSuffix(name, ".")))
	switch kind {
	case "":
		return fmt.Errorf("%q has no type", line)
	case "TRUNCATED":
		n.truncated = true
		return nil
	case "AUTHENTIC":
		n.authentic = true
		return nil
	case "DELAY":
		d, err := time.ParseDuration(value)
		n.delay = d
		return err
	}
	if f := faultNamed(kind); f != faultNone {
		n.faults[0] = f
		return nil
	}
	t, ok := mdns.StringToType[kind]
	if !ok {
		return fmt.Errorf("unknown type %q", kind)
	}
	if f := faultNamed(value); f != faultNone {
		n.faults[t] = f
		return nil
	}
	rr, err := record(name, uint32(ttl), t, value)
	if err != nil {
		return err
	}
	n.records[t] = append(n.records[t], rr)
	return nil
}

// node is the node of a name, made if need be.
func (z *zone) node(name string) *node {
	n := z.nodes[name]
	if n == nil {
		n = &node{records: map[uint16][]mdns.RR{}, faults: map[uint16]fault{}}
		z.nodes[name] = n
	}
	return n
}

// record makes one resource record.
func record(name string, ttl uint32, t uint16, value string) (mdns.RR, error) {
	if t == mdns.TypeTXT {
		texts, err := texts(value)
		if err != nil {
			return nil, err
		}
		h := mdns.RR_Header{Name: mdns.Fqdn(name), Rrtype: t, Class: mdns.ClassINET, Ttl: ttl}
		return &mdns.TXT{Hdr: h, Txt: texts}, nil
	}
	s := fmt.Sprintf("%s %d IN %s %s", mdns.Fqdn(name), ttl, mdns.TypeToString[t], value)
	rr, err := mdns.NewRR(s)
	if err != nil {
		return nil, fmt.Errorf("record %q: %w", s, err)
	}
	if rr == nil {
		return nil, fmt.Errorf("record %q is empty", s)
	}
	return rr, nil
}

// texts splits a TXT value into character-strings of at most 255 bytes, in the escaped form that miekg/dns keeps.
func texts(value string) ([]string, error) {
	var out []string
	if !strings.HasPrefix(value, `"`) {
		for len(value) > 255 {
			out = append(out, escapeTXT(value[:255]))
			value = value[255:]
		}
		return append(out, escapeTXT(value)), nil
	}
	for value != "" {
		if value[0] != '"' {
			return nil, fmt.Errorf("text outside quotes: %q", value)
		}
		text, rest, err := unquote(value[1:])
		if err != nil {
			return nil, err
		}
		out = append(out, escapeTXT(text))
		value = strings.TrimLeft(rest, " \t")
	}
	return out, nil
}

// unquote reads up to the closing quote; \DDD is a byte and any other \x is x.
func unquote(s string) (text, rest string, err error) {
	var b []byte
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"' && len(b) > 255:
			return "", "", fmt.Errorf("quoted text of %d bytes: at most 255", len(b))
		case s[i] == '"':
			return string(b), s[i+1:], nil
		case s[i] != '\\' || i+1 == len(s):
			b = append(b, s[i])
		case i+3 < len(s) && digit(s[i+1]) && digit(s[i+2]) && digit(s[i+3]):
			b = append(b, (s[i+1]-'0')*100+(s[i+2]-'0')*10+(s[i+3]-'0'))
			i += 3
		default:
			i++
			b = append(b, s[i])
		}
	}
	return "", "", fmt.Errorf("unclosed quote: %q", s)
}

// escapeTXT writes bytes that have a meaning in presentation format as decimal escapes.
func escapeTXT(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; c == '\\' || c == '"' || c < ' ' || c > '~' {
			fmt.Fprintf(&b, "\\%03d", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// word cuts the first word off a line.
func word(s string) (first, rest string) {
	s = strings.TrimLeft(s, " \t")
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimLeft(s[i:], " \t")
}

func faultNamed(s string) fault {
	switch strings.ToUpper(s) {
	case "TIMEOUT":
		return faultTimeout
	case "SERVFAIL":
		return faultServfail
	case "REFUSED":
		return faultRefused
	}
	return faultNone
}

// find is the node that answers for a name, directly or by a wildcard.
func (z *zone) find(name string) *node {
	if n := z.nodes[name]; n != nil {
		return n
	}
	for rest := name; ; {
		i := strings.IndexByte(rest, '.')
		if i < 0 {
			return z.nodes["*"]
		}
		rest = rest[i+1:]
		if n := z.nodes["*."+rest]; n != nil {
			return n
		}
		if z.nodes[rest] != nil {
			return nil
		}
	}
}

// within reports whether there are names below name, so that it exists although it has no records (RFC 8020).
func (z *zone) within(name string) bool {
	for n := range z.nodes {
		if strings.HasSuffix(n, "."+name) {
			return true
		}
	}
	return false
}

// answer builds the reply to q and says how late it is to be sent; nil means no reply at all.
func (z *zone) answer(q *mdns.Msg, overUDP bool) (*mdns.Msg, time.Duration) {
	m := new(mdns.Msg)
	m.SetReply(q)
	m.RecursionAvailable = true
	if len(q.Question) != 1 {
		m.Rcode = mdns.RcodeFormatError
		return m, 0
	}
	qtype, name := q.Question[0].Qtype, q.Question[0].Name
	for hop := 0; ; hop++ {
		key := strings.ToLower(strings.TrimSuffix(name, "."))
		n := z.find(key)
		if n == nil {
			if !z.within(key) {
				m.Rcode = mdns.RcodeNameError
			}
			return m, 0
		}
		m.AuthenticatedData = n.authentic
		f := n.faults[qtype]
		if f == faultNone && len(n.records[qtype]) == 0 {
			f = n.faults[0]
		}
		switch f {
		case faultTimeout:
			return nil, 0
		case faultServfail:
			m.Rcode = mdns.RcodeServerFailure
			return m, n.delay
		case faultRefused:
			m.Rcode = mdns.RcodeRefused
			return m, n.delay
		}
		if n.truncated && overUDP {
			m.Truncated = true
			return m, n.delay
		}
		m.Answer = append(m.Answer, owned(n.records[qtype], name)...)
		alias := n.records[mdns.TypeCNAME]
		if len(n.records[qtype]) > 0 || len(alias) == 0 || hop > 16 {
			return m, n.delay
		}
		m.Answer = append(m.Answer, owned(alias, name)...)
		name = alias[0].(*mdns.CNAME).Target
	}
}

// owned copies records with the owner name as it was asked.
func owned(rrs []mdns.RR, name string) []mdns.RR {
	out := make([]mdns.RR, len(rrs))
	for i, rr := range rrs {
		out[i] = mdns.Copy(rr)
		out[i].Header().Name = name
	}
	return out
}
