package config

import (
	"errors"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// errName is returned for what no DNS server could be asked for.
var errName = errors.New("not a domain name")

// canonical is a domain in lower case and A-labels, without trailing dot.
func canonical(name string) (string, error) {
	a, err := idna.Lookup.ToASCII(strings.TrimSuffix(name, "."))
	if err != nil || a == "" || len(a) > 253 {
		return "", errName
	}
	if _, err := netip.ParseAddr(a); err == nil {
		return "", errName
	}
	for label := range strings.SplitSeq(a, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "", errName
		}
	}
	return strings.ToLower(a), nil
}
