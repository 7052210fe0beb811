package route

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// Config is the filter's section. It has no settings but being switched off.
type Config struct{}

// A Filter is the route filter. It keeps no state.
type Filter struct{}

// New makes the filter.
func New(Config) *Filter { return &Filter{} }

const (
	ahead  = 5 * time.Hour      // more than a zone that was set wrong makes in most countries
	behind = 4 * 24 * time.Hour // about as long as servers try
)

// A check is the examination of one message.
type check struct {
	m     *mail.Mail
	all   []mail.Hop // newest first
	hops  []mail.Hop // those from hosts of the Internet
	facts filters.Facts
}

// Check implements filters.Filter.
func (*Filter) Check(_ context.Context, m *mail.Mail) (filters.Facts, error) {
	c := &check{m: m, all: m.Hops()}
	for _, h := range c.all {
		if public(h.Addr) {
			c.hops = append(c.hops, h)
		}
	}
	c.client()
	c.direct()
	c.names()
	c.clocks()
	if err := m.Err(); err != nil {
		return filters.Facts{}, err
	}
	return c.facts, nil
}

// public reports whether a is an address of the Internet.
func public(a netip.Addr) bool {
	return a.IsValid() && a.IsGlobalUnicast() && !a.IsPrivate()
}

// found states a finding.
func (c *check) found(code, text string, e filters.Evidence) {
	if e.What == "" {
		e.What = "(nothing)"
	}
	c.facts.Findings = append(c.facts.Findings, filters.Finding{Code: code, Text: text, Proof: []filters.Evidence{e}})
}

// field is a header field as proof.
func field(f mail.Field) filters.Evidence {
	return filters.Evidence{Where: "header " + f.Name, At: &[2]int64{f.Span.Start, f.Span.End - f.Span.Start}, What: mail.Printable(mail.Unfold(f.Value), 200)}
}

// client looks at the host that brought the message, unless it is one of the site's own.
func (c *check) client() {
	env := c.m.Envelope
	if env.Trusted || !public(env.Remote) {
		return
	}
	if dynamic(env.RemoteName, env.Remote) {
		c.found("route.client-dynamic", "The client's host is named after its address.", filters.Evidence{Where: "envelope", What: mail.Printable(env.RemoteName+" ["+env.Remote.String()+"]", 200)})
	}
	helo := filters.Evidence{Where: "envelope HELO", What: mail.Printable(env.Helo, 200)}
	literal, isLiteral := addressLiteral(env.Helo)
	switch {
	case env.Helo == "":
	case isAddress(env.Helo), isLiteral && literal != env.Remote:
		c.found("route.client-helo-address", "The client called itself by an address that is bare or not its own.", helo)
	case !isLiteral && !strings.Contains(strings.Trim(env.Helo, "."), "."):
		c.found("route.client-helo-unqualified", "The client called itself by a name that is no full domain name.", helo)
	case env.RemoteName != "" && pretends(env.Helo, env.RemoteName):
		helo.What = mail.Printable(env.Helo+", and is "+env.RemoteName, 200)
		c.found("route.client-helo-provider", "The client called itself a host of a provider that it does not belong to.", helo)
	}
}

// direct looks for a server that took the message, from nobody who logged in, from a host of a pool that is not its
// provider's own, for an author who is not its own: open relays do that, and servers that are reached by programs which
// bring their mail themselves. What somebody runs at home under the name that he writes under is another thing.
func (c *check) direct() {
	if c.conversation() {
		return
	}
	for _, h := range c.hops {
		if !authenticated(h) && dynamic(h.Name, h.Addr) && mail.OrganizationalDomain(h.By) != mail.OrganizationalDomain(h.Name) && !c.authors(h.By) && !c.authors(h.Helo) {
			c.found("route.dynamic", "A server took the message from a host that is named after its address, and has nothing to do with it.", field(h.Field))
			return
		}
	}
}

// conversation reports whether the message answers another or came through a list: then it was somebody's own server that
// was odd, as many are, and not a sender to many.
func (c *check) conversation() bool {
	for _, name := range [...]string{"In-Reply-To", "References", "List-Id", "List-Post", "Mailing-List", "X-Mailing-List"} {
		if c.m.Get(name) != "" {
			return true
		}
	}
	_, group := c.m.Group()
	return group
}

// authors reports whether a name is in the domain of the author.
func (c *check) authors(name string) bool {
	a := c.m.Authors()
	org := mail.OrganizationalDomain(name)
	return len(a) > 0 && org != "" && mail.OrganizationalDomain(a[0].Domain) == org
}

// authenticated reports whether the client of a hop was a user who logged in (RFC 3848).
func authenticated(h mail.Hop) bool {
	for _, protocol := range [...]string{"ESMTPSA", "ESMTPA", "HTTP", "HTTPS"} {
		if strings.EqualFold(h.With, protocol) {
			return true
		}
	}
	return strings.Contains(h.Field.Value, "(AUTH") || strings.Contains(h.Field.Value, "uthenticated")
}

// names looks at what hosts on the way called themselves.
func (c *check) names() {
	if c.conversation() {
		return
	}
	var address, provider bool
	for _, h := range c.hops {
		if authenticated(h) {
			continue
		}
		if !address && isAddress(h.Helo) && (h.Name != "" || h.Unnamed) {
			address = true
			c.found("route.helo-address", "A host on the way called itself by a bare address.", field(h.Field))
		}
		if !provider && (h.Name != "" && pretends(h.Helo, h.Name) || h.Unnamed && providerOf(h.Helo) != nil) {
			provider = true
			c.found("route.helo-provider", "A host on the way called itself one of a provider that it does not belong to.", field(h.Field))
		}
	}
}

// clocks compares the date with what the first server's clock said.
func (c *check) clocks() {
	fields := c.m.Fields("Date")
	if len(fields) == 0 {
		return
	}
	date := c.m.Date()
	if date.IsZero() {
		return
	}
	if !zoned(mail.Unfold(fields[0].Value)) {
		c.found("route.date-no-zone", "The date does not say in which time zone it is.", field(fields[0]))
		return
	}
	first := c.first()
	if first.IsZero() {
		return
	}
	e := field(fields[0])
	e.What = mail.Printable(fmt.Sprintf("%s; first server %s", date.UTC().Format(time.RFC3339), first.UTC().Format(time.RFC3339)), 200)
	switch {
	case date.Sub(first) > ahead:
		c.found("route.date-ahead", "The date is hours later than the first server had the message.", e)
	case first.Sub(date) > behind:
		c.found("route.date-behind", "The date is days earlier than the first server had the message.", e)
	}
}

// first is the time at which the first servers had the message: the later of what the two oldest say, for many a clock is
// wrong.
func (c *check) first() (t time.Time) {
	n := 0
	for _, h := range slices.Backward(c.all) {
		if h.Time.IsZero() {
			continue
		}
		if h.Time.After(t) {
			t = h.Time
		}
		if n++; n == 2 {
			break
		}
	}
	return t
}

// zoned reports whether a date names its time zone, by number or by letters.
func zoned(date string) bool {
	date, _, _ = strings.Cut(date, "(")
	words := strings.Fields(date)
	if len(words) == 0 {
		return false
	}
	last := words[len(words)-1]
	return !strings.Contains(last, ":") && (len(last) != 4 || strings.Trim(last, "0123456789") != "") || strings.ContainsAny(last, "+-Z")
}
