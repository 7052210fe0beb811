package web

import (
	"strings"

	"golang.org/x/net/publicsuffix"
)

// icann reports whether a host ends in a name under which ICANN lets register: a word with a dot in it is not yet a domain.
func icann(host string) bool {
	_, ok := publicsuffix.PublicSuffix(host)
	return ok
}

// reserved are endings for documents and tests (RFC 2606, RFC 6761): nobody deceives by them.
const reserved = " example test localhost invalid "

// Registrable reports whether a domain could exist in the public DNS: its last label is one that ICANN delegated, or is reserved.
func Registrable(domain string) bool {
	last := domain[strings.LastIndexByte(domain, '.')+1:]
	if last == "" || strings.Contains(reserved, " "+last+" ") {
		return last != "" && last != domain
	}
	suffix, icann := publicsuffix.PublicSuffix(domain)
	if icann {
		return suffix != domain
	}
	return strings.IndexByte(suffix, '.') > 0 // a private one, such as github.io; what nobody knows has no dot
}
