package auth

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// An SPFQuery is one question to SPF: may this address send for this sender?
type SPFQuery struct {
	IP       netip.Addr
	Sender   string    // local-part@domain; for the HELO identity, postmaster@ and the HELO name
	Helo     string    // for the macro %{h}
	Receiver string    // this host, for the macro %{r}
	Time     time.Time // for the macro %{t}
}

// CheckSPF evaluates RFC 7208 in full: an error anywhere in a record is found whatever matched before it, and lookups
// are bounded (10 terms, 2 voids, 20 s).
func CheckSPF(ctx context.Context, r Resolver, q SPFQuery) filters.SPF {
	return checkSPF(ctx, r, q, nil)
}

// checkSPF is CheckSPF with records that were read before.
func checkSPF(ctx context.Context, r Resolver, q SPFQuery, read *recent[*spfRecord]) filters.SPF {
	at := strings.LastIndexByte(q.Sender, '@')
	c := spfCheck{ip: q.IP.Unmap().WithZone(""), domain: q.Sender[at+1:], helo: q.Helo, receiver: q.Receiver, now: q.Time, r: r, read: read}
	if at > 0 {
		c.local = q.Sender[:at]
	}
	o := c.run(ctx)
	s := filters.SPF{
		Result:      o.result,
		Domain:      strings.ToLower(strings.TrimSuffix(c.domain, ".")),
		Explanation: mail.Printable(o.explanation, 200),
		Mechanism:   mail.Printable(o.mechanism, 200),
		Reason:      mail.Printable(o.reason, 200),
	}
	if o.weak != "" {
		s.Weak, s.Reason = true, mail.Printable(o.weak, 200)
	}
	return s
}
