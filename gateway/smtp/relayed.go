package smtp

import (
	"net/netip"
	"slices"
	"strings"
)

// maxRelayed is the most octets of a next hop's words, and of the reference after them, that a client is told.
const maxRelayed = 200

// ReplyRelayed is what the client is told of a next hop's reply: its codes, and its words as far as they are for strangers.
// Addresses and names that mean something inside only are put aside, those of hops among them; the journal has the words
// as they came. What remains is cut so that the reference by which people ask about the message has room after it.
func ReplyRelayed(r *Reply, id string, hops []string) *Reply {
	text := strings.TrimRight(outward(Sanitize(r.Text), hops), " ;")
	if text == "" {
		text = "Refused by the mail server of the recipient"
	}
	if room := maxRelayed - len(withID("", id)); len(text) > room {
		text = strings.TrimRight(text[:room-3], " ;") + "..."
	}
	return Custom(r.Code, r.Enhanced, withID(text, id))
}

// inside stands for a name or an address of the network behind.
const inside = "(internal)"

// insideDomains end names that no stranger can look up (RFC 2606, 6762, 8375, 9476, and what ICANN set aside for good).
var insideDomains = []string{"local", "localhost", "localdomain", "internal", "intranet", "lan", "corp", "home", "private", "home.arpa", "alt", "test", "invalid"}

// outward replaces the words of s that name something inside.
func outward(s string, hops []string) string {
	var b strings.Builder
	for len(s) > 0 {
		n := strings.IndexFunc(s, nameByte)
		if n < 0 {
			n = len(s)
		}
		b.WriteString(s[:n])
		s = s[n:]
		if n = strings.IndexFunc(s, func(r rune) bool { return !nameByte(r) }); n < 0 {
			n = len(s)
		}
		word, rest := s[:n], s[n:]
		name := strings.TrimRight(word, ".:-_")
		if insider(strings.TrimPrefix(strings.ToLower(name), "ipv6:"), hops) {
			b.WriteString(inside + word[len(name):])
		} else {
			b.WriteString(word)
		}
		s = rest
	}
	return b.String()
}

// nameByte reports whether r may be part of a host name, an address, or a port after either.
func nameByte(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == ':' || r == '_'
}

// insider reports whether a lower-case word names something inside.
func insider(word string, hops []string) bool {
	host := word
	if addr, err := netip.ParseAddr(word); err == nil {
		return !public(addr)
	}
	if at := strings.LastIndexByte(word, ':'); at > 0 {
		host = word[:at]
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return !public(addr)
	}
	if !strings.Contains(host, ".") {
		return slices.Contains(hops, host) && host != ""
	}
	return slices.Contains(hops, host) || slices.ContainsFunc(insideDomains, func(d string) bool { return strings.HasSuffix(host, "."+d) })
}

// public reports whether strangers may know of a.
func public(a netip.Addr) bool {
	a = a.Unmap()
	return !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast() && !a.IsUnspecified() && !shared.Contains(a)
}

// shared is the address space between a provider and its customers (RFC 6598).
var shared = netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10)
