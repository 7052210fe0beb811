package web

import (
	"net/netip"
	"strconv"
	"strings"
)

// number reports whether a name's last label is a number: then it is an IPv4 address or nothing (WHATWG URL, "ends in a number").
func number(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	if last == "" || last[0] < '0' || last[0] > '9' {
		return false
	}
	if strings.Trim(last, "0123456789") == "" {
		return true
	}
	_, ok := part(last)
	return ok
}

// part reads one number of an IPv4 address: decimal, octal with a leading 0, hexadecimal with a leading 0x.
func part(s string) (uint64, bool) {
	base := 10
	switch {
	case len(s) >= 2 && s[0] == '0' && s[1]|0x20 == 'x':
		s, base = s[2:], 16
	case len(s) >= 2 && s[0] == '0':
		s, base = s[1:], 8
	}
	if s == "" {
		return 0, base == 16
	}
	n, err := strconv.ParseUint(s, base, 64)
	return n, err == nil
}

// ipv4 reads an IPv4 address in any notation that browsers take.
func (t *Target) ipv4(name string) {
	parts := strings.Split(name, ".")
	if len(parts) > 4 {
		t.Odd |= BadHost
		return
	}
	var ip uint64
	for i, p := range parts {
		n, ok := part(p)
		last := i == len(parts)-1
		room := uint64(1) << 8
		if last {
			room = 1 << (8 * (5 - len(parts)))
		}
		if !ok || n >= room {
			t.Odd |= BadHost
			return
		}
		if last {
			ip |= n
		} else {
			ip |= n << (8 * (3 - i))
		}
	}
	t.IP = netip.AddrFrom4([4]byte{byte(ip >> 24), byte(ip >> 16), byte(ip >> 8), byte(ip)})
	if t.Host = t.IP.String(); t.Host != name {
		t.Odd |= Notation
	}
}

// ipv6 reads an IPv6 address in brackets.
func (t *Target) ipv6(s string) {
	ip, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil || !ip.Is6() || ip.Zone() != "" {
		t.Odd |= BadHost
		return
	}
	t.IP, t.Host = ip, ip.String()
}
