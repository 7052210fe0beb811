package auth

import (
	"net/netip"
	"slices"
	"strings"

	"gatepost/filters/mail"
)

// A client is who handed the message to this site: the client of the session, or, behind a trusted forwarder, the one
// that the forwarder names in its Received field.
type client struct {
	ip    netip.Addr
	helo  string
	name  string     // reverse name that leads back, if the session found it
	by    mail.Field // the Received field that names it; zero for the session's own client
	lost  bool       // the forwarder's field cannot be read, so nobody knows
	steps int        // trusted forwarders on the way
}

// maxForwarders is how many trusted forwarders a message may have passed in a row.
const maxForwarders = 8

// client finds who handed the message to the site. Received fields are believed from the top down, and only as long as
// the one who wrote each is a trusted forwarder: what stands below could have been made up.
func (f *Filter) client(env *mail.Envelope, m *mail.Message) client {
	c := client{ip: env.Remote, helo: env.Helo, name: env.RemoteName}
	if len(f.cfg.TrustedForwarders) == 0 || m == nil {
		return c
	}
	for _, field := range m.Header {
		if c.steps >= maxForwarders || !f.forwards(c.ip) {
			break
		}
		if !strings.EqualFold(field.Name, "Received") {
			continue
		}
		hop, ok := mail.ReadHop(field)
		if !ok || !hop.Addr.IsValid() {
			return client{by: field, lost: true, steps: c.steps + 1}
		}
		c = client{ip: hop.Addr, helo: hop.Helo, by: field, steps: c.steps + 1}
	}
	return c
}

// forwards reports whether ip is a trusted forwarder's.
func (f *Filter) forwards(ip netip.Addr) bool {
	return ip.IsValid() && slices.ContainsFunc(f.cfg.TrustedForwarders, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// tellForwarded says whom a trusted forwarder had the message from.
func (r *run) tellForwarded() {
	c := r.client
	if c.steps == 0 {
		return
	}
	what := at("header Received", c.by.Span, c.by.Value)
	from := addrName(r.m.Remote)
	if c.lost {
		r.add("auth.forwarded-unknown", "Trusted forwarder "+from+" does not say whom it had the message from.", what)
		return
	}
	r.add("auth.forwarded", "Trusted forwarder "+from+" had the message from "+addrName(c.ip)+", for which SPF and the reverse name are checked.", what)
}
