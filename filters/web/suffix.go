package web

import "golang.org/x/net/publicsuffix"

// icann reports whether a host ends in a name under which ICANN lets register: a word with a dot in it is not yet a domain.
func icann(host string) bool {
	_, ok := publicsuffix.PublicSuffix(host)
	return ok
}
