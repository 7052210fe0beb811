package auth

import (
	"context"
	"net/netip"

	"gatepost/filters/mail"
)

// maxReverse is how many reverse names are tried (L-08).
const maxReverse = 3

// An iprev is the outcome of RFC 8601 section 2.7.3: does the client's reverse name lead back to it?
type iprev struct{ result, name, reason string }

// checkIPRev takes the session's finding, or looks for itself.
func (f *Filter) checkIPRev(ctx context.Context, c client) iprev {
	switch {
	case c.name != "":
		return iprev{result: resultPass, name: c.name}
	case !c.ip.IsValid():
		return iprev{}
	}
	names, err := f.r.LookupAddr(ctx, c.ip.String())
	if err != nil {
		if isNotFound(err) {
			return iprev{result: resultPermerror, reason: "no reverse name"}
		}
		return iprev{result: resultTemperror, reason: dnsReason(err)}
	}
	if len(names) == 0 {
		return iprev{result: resultPermerror, reason: "no reverse name"}
	}
	out := iprev{result: resultFail, name: mail.Printable(names[0], 253), reason: "the reverse name does not lead back"}
	for _, name := range names[:min(len(names), maxReverse)] {
		back, err := f.r.LookupNetIP(ctx, "ip", name)
		if err != nil && !isNotFound(err) {
			out = iprev{result: resultTemperror, name: mail.Printable(name, 253), reason: dnsReason(err)}
		}
		for _, a := range back {
			if a.Unmap() == c.ip.Unmap() {
				return iprev{result: resultPass, name: mail.Printable(name, 253)}
			}
		}
	}
	return out
}

// addrName is an address for people.
func addrName(a netip.Addr) string {
	if !a.IsValid() {
		return "unknown"
	}
	return a.String()
}
