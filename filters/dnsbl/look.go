package dnsbl

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"gatepost/filters/mail"
	"gatepost/rules/dnslists"
)

// A Found is what one list says to a question of a person.
type Found struct {
	List  string   `json:"list"`
	Says  []string `json:"says"`            // "listed: XBL, a taken-over machine (127.0.0.4)"; empty: not listed
	Error string   `json:"error,omitempty"` // why the list does not count
}

// Look asks every list that knows such things about an address, a domain or a mailbox. It asks also lists that are
// muted, and says so.
func (s *Sentry) Look(ctx context.Context, r Resolver, lists []List, what string) ([]Found, error) {
	sub := subject{kind: dnslists.Link, name: mail.OrganizationalDomain(what)}
	fits := func(l List) bool { return !slices.Contains(l.Asks, dnslists.Client) && l.Hash == "" }
	if a, err := netip.ParseAddr(what); err == nil {
		sub = subject{kind: dnslists.Client, name: a.Unmap().String(), addr: a.Unmap()}
		fits = func(l List) bool { return slices.Contains(l.Asks, dnslists.Client) }
	} else if strings.Contains(what, "@") {
		sub = subject{kind: dnslists.Mailbox, name: strings.ToLower(what)}
		fits = func(l List) bool { return l.Hash != "" }
	}
	if sub.name == "" {
		return nil, fmt.Errorf("%s is neither an address, nor a registered domain, nor a mailbox", mail.Printable(what, 100))
	}
	var out []Found
	for i := range lists {
		l := &lists[i]
		if !fits(*l) {
			continue
		}
		f := Found{List: l.Name, Says: []string{}}
		addrs, err := lookUp(ctx, r, sub.label(l.Hash)+"."+l.zone)
		for _, a := range addrs {
			_, answers := l.Read(a)
			for _, w := range answers {
				f.Says = append(f.Says, fmt.Sprintf("%s: %s (%s)", w.Means, w.Text, a))
			}
			if len(answers) == 0 {
				f.Says = append(f.Says, fmt.Sprintf("nothing that is known (%s)", a))
			}
		}
		if err == nil {
			err = s.fit(ctx, r, l)
		}
		if err != nil {
			f.Error = err.Error()
		}
		out = append(out, f)
	}
	return out, nil
}
