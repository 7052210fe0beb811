package dns

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"

	mdns "github.com/miekg/dns"
)

// maxAliases is how many CNAME records an answer may chain.
const maxAliases = 8

var errAliases = errors.New("too many aliases")

// A TLSA is one record of RFC 6698.
type TLSA struct {
	Usage, Selector, Matching uint8
	Data                      string // lower-case hexadecimal
}

// relevant picks the records of an answer that were asked for: those of the asked name and type, perhaps at the end
// of a chain of aliases that begins at the asked name. Anything else in the message is not looked at (L-03).
// aliased reports that the name itself exists as an alias; ttl is the smallest on the way.
func relevant(m *mdns.Msg, k key) (rrs []mdns.RR, aliased bool, ttl uint32, err error) {
	name := spelled(k.name)
	ttl = 1<<31 - 1
	for range maxAliases + 1 {
		var alias *mdns.CNAME
		for _, rr := range m.Answer {
			h := rr.Header()
			if h.Class != mdns.ClassINET || !strings.EqualFold(h.Name, name) {
				continue
			}
			if h.Rrtype == k.qtype {
				rrs = append(rrs, rr)
				ttl = min(ttl, h.Ttl)
			} else if c, ok := rr.(*mdns.CNAME); ok && alias == nil {
				alias = c
			}
		}
		if len(rrs) > 0 || alias == nil {
			return rrs, aliased, ttl, nil
		}
		aliased = true
		ttl = min(ttl, alias.Hdr.Ttl)
		name = alias.Target
	}
	return nil, aliased, ttl, errAliases
}

// read turns an answer into an entry without its time of expiry.
func read(m *mdns.Msg, k key) (*entry, uint32) {
	rrs, aliased, ttl, err := relevant(m, k)
	if err != nil {
		return &entry{err: temporary(k.name, err.Error(), false)}, 0
	}
	e := &entry{authentic: m.AuthenticatedData}
	for _, rr := range rrs {
		e.take(rr)
	}
	if len(e.txt)+len(e.mx)+len(e.addrs)+len(e.names)+len(e.tlsa) == 0 {
		e.err = notFound(k.name)
		e.nxdomain = m.Rcode == mdns.RcodeNameError && !aliased
		ttl = negativeTTL(m)
	}
	slices.SortStableFunc(e.mx, func(a, b *net.MX) int { return int(a.Pref) - int(b.Pref) })
	return e, ttl
}

// take adds one record to the entry. Names that could not be asked for are left out: they go to logs and headers
// (L-08).
func (e *entry) take(rr mdns.RR) {
	switch rr := rr.(type) {
	case *mdns.TXT:
		e.txt = append(e.txt, joinTXT(rr.Txt))
	case *mdns.MX:
		if rr.Mx == "." {
			e.mx = append(e.mx, &net.MX{Host: ".", Pref: rr.Preference}) // RFC 7505: no mail here
		} else if host, ok := canonical(rr.Mx); ok {
			e.mx = append(e.mx, &net.MX{Host: host, Pref: rr.Preference})
		}
	case *mdns.A:
		if a, ok := netip.AddrFromSlice(rr.A.To4()); ok {
			e.addrs = append(e.addrs, a)
		}
	case *mdns.AAAA:
		if a, ok := netip.AddrFromSlice(rr.AAAA.To16()); ok {
			e.addrs = append(e.addrs, a)
		}
	case *mdns.PTR:
		if name, ok := canonical(rr.Ptr); ok {
			e.names = append(e.names, name)
		}
	case *mdns.TLSA:
		e.tlsa = append(e.tlsa, TLSA{rr.Usage, rr.Selector, rr.MatchingType, strings.ToLower(rr.Certificate)})
	}
}

// negativeTTL is how long an absence may be believed (RFC 2308 section 5).
func negativeTTL(m *mdns.Msg) uint32 {
	for _, rr := range m.Ns {
		if soa, ok := rr.(*mdns.SOA); ok {
			return min(soa.Hdr.Ttl, soa.Minttl)
		}
	}
	return 0
}

// joinTXT puts the texts of one record together without anything between them (RFC 7208 section 3.3, RFC 6376
// section 3.6.2.2) and undoes the library's escapes.
func joinTXT(texts []string) string {
	s := joined(texts)
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
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
	return string(b)
}

func joined(texts []string) string {
	if len(texts) == 1 {
		return texts[0]
	}
	return strings.Join(texts, "")
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

func notFound(name string) *net.DNSError {
	return &net.DNSError{Err: "no such record", Name: name, IsNotFound: true}
}

func temporary(name, why string, timeout bool) *net.DNSError {
	return &net.DNSError{Err: why, Name: name, IsTemporary: true, IsTimeout: timeout}
}
