package config

import (
	"errors"
	"net/netip"

	"gatepost/filters/mail"
)

// errName is returned for what is no name that mail could be sent to.
var errName = errors.New("not a domain name")

// canonical is a host or domain name as mail.CanonicalDomain spells it. An IP address is none.
func canonical(name string) (string, error) {
	d, err := mail.CanonicalDomain(name)
	if err != nil {
		return "", err
	}
	if _, err := netip.ParseAddr(d); err == nil {
		return "", errName
	}
	return d, nil
}
