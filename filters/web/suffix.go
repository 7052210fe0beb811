package web

import "golang.org/x/net/publicsuffix"

// icann reports whether a host ends in a name under which ICANN lets register: a word with a dot in it is not yet a domain.
func icann(host string) bool {
	_, ok := publicsuffix.PublicSuffix(host)
	return ok
}

// Registrable reports whether a domain could exist in the public DNS: its last label is one that ICANN delegated.
func Registrable(domain string) bool {
	suffix, ok := publicsuffix.PublicSuffix(domain)
	if ok {
		return suffix != domain
	}
	// Suffixes that are not ICANN's are private ones under its own, or nobody's: the latter have no dot.
	for i := 0; i < len(suffix); i++ {
		if suffix[i] == '.' {
			return true
		}
	}
	return false
}
