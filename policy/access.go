package policy

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// A Moment is a point of a session at which entries of access are asked for.
type Moment int

// The moments, in the order of a session. What is known at one is known at all later ones.
const (
	Connect  Moment = iota // the client's address
	Helo                   // its greeting
	MailFrom               // the reverse-path
	Rcpt                   // one recipient
	atEnd                  // author and authentication: Decide
)

// A Standing is what the entries of access say.
type Standing int

// The standings. Undecided is the zero value: nothing matched, or what would match first needs facts not yet known.
const (
	Undecided Standing = iota
	Allowed
	Denied
)

// A Ruling is the answer of Admit. Reply and Because are set when an entry decided.
type Ruling struct {
	Standing Standing
	Reply    Reply
	Because  Reason
}

// Admit asks the entries of access at one moment of a session, of which env holds what is known so far; rcpt counts
// at Rcpt only. The first entry that matches decides. A deny entry waits while an allow entry before it may still
// come to match; Decide asks again at the end.
func (p *Policy) Admit(at Moment, env *mail.Envelope, rcpt mail.Address) Ruling {
	q := question{at: at, env: env, now: env.Time}
	if at >= MailFrom {
		q.sender = env.From.Canonical()
	}
	if at >= Rcpt {
		q.rcpt = rcpt.Canonical()
	}
	e := p.access.first(&q)
	if e == nil {
		return Ruling{}
	}
	if e.allow {
		return Ruling{Standing: Allowed, Because: e.because()}
	}
	return Ruling{Standing: Denied, Reply: denyReply(e.moment, env.ID), Because: e.because()}
}

// A question is whom an entry is to be matched with.
type question struct {
	at     Moment
	env    *mail.Envelope
	now    time.Time
	sender string // canonical reverse-path
	rcpt   string // canonical recipient
	author string // canonical author; at the end only
	auth   *filters.Auth
	skip   []*entry // for explanations: entries to pass over
}

// An entry is one compiled entry of access.
type entry struct {
	order   int
	allow   bool
	unsafe  bool
	moment  Moment // at which all that it asks for is known
	client  *hostSet
	helo    *domainSet
	sender  *addressSet
	rcpt    *addressSet
	country []string
	asn     []uint32
	expires dateDoc
	reason  string
	source  string // whom it is about, as the file says
	at      string
	public  Entry
}

// because is the reason for a decision by e.
func (e *entry) because() Reason {
	word := "denied"
	if e.allow {
		word = "allowed"
	}
	text := "The access list says: " + word + "."
	if e.reason != "" {
		text = "The access list says: " + word + " (" + mail.Printable(e.reason, 200) + ")."
	}
	return Reason{Rule: e.name(), At: e.at, Text: text}
}

// name is what decided and tests call e.
func (e *entry) name() string {
	if e.allow {
		return "access.allow"
	}
	return "access.deny"
}

// A match is whether an entry matches: later means that nothing speaks against it yet.
type match int

const (
	no match = iota
	later
	yes
)

// match compares e with what is known.
func (e *entry) match(q *question) match {
	if e.expires.over(q.now) {
		return no
	}
	if e.client != nil && !e.client.has(q.env.Remote, q.env.RemoteName, q.now) ||
		e.country != nil && !slices.Contains(e.country, q.env.Country) ||
		e.asn != nil && !slices.Contains(e.asn, q.env.ASN) {
		return no
	}
	if e.helo != nil && q.at >= Helo && !e.helo.has(canonicalDomain(q.env.Helo)) {
		return no
	}
	if e.rcpt != nil && q.at >= Rcpt && !e.rcpt.has(q.rcpt, q.now) {
		return no
	}
	if e.sender != nil && q.at >= MailFrom {
		switch e.matchSender(q) {
		case no:
			return no
		case later:
			return later
		}
	}
	if q.at < e.moment {
		return later
	}
	return yes
}

// matchSender compares the reverse-path and, at the end, the author. A sender is allowed only when the domain of the
// one that matched is authenticated, unless the entry says unsafe.
func (e *entry) matchSender(q *question) match {
	path := e.sender.has(q.sender, q.now)
	if q.at < atEnd {
		switch {
		case !path:
			return no
		case e.allow && !e.unsafe:
			return later
		}
		return yes
	}
	author := q.author != "" && e.sender.has(q.author, q.now)
	switch {
	case !path && !author:
		return no
	case !e.allow || e.unsafe:
		return yes
	case q.auth == nil || q.auth.Domain == "":
		return no
	}
	if author && related(q.auth.Domain, domainOf(q.author)) || path && related(q.auth.Domain, domainOf(q.sender)) {
		return yes
	}
	return no
}

// related reports whether one domain is the other or stands below it; a is an authenticated domain, so no public suffix.
func related(a, b string) bool {
	if a == b {
		return true
	}
	if len(a) > len(b) {
		a, b = b, a
	}
	return strings.Contains(a, ".") && strings.HasSuffix(b, a) && b[len(b)-len(a)-1] == '.'
}

// domainOf is what stands after the last @.
func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// An accessTable finds the first entry that matches without trying each of thousands.
type accessTable struct {
	entries  []*entry
	allows   []int32 // the allow entries, in order
	networks []netIndex
	senders  addressIndex
	rcpts    addressIndex
	rest     []int32 // entries that no index covers
}

// A netIndex holds the entries of one prefix length.
type netIndex struct {
	length  int
	entries map[netip.Prefix][]int32
}

// An addressIndex holds entries by mailbox, domain and suffix.
type addressIndex struct{ exact, domain, below map[string][]int32 }

// compileAccess compiles access.
func (c *compiler) compileAccess(docs []entryDoc) {
	for _, d := range docs {
		doc, allow := d.Deny, false
		switch {
		case d.Allow != nil && d.Deny != nil:
			c.problem(d.Pos, "", "an access entry is either allow or deny, not both")
			continue
		case d.Allow != nil:
			doc, allow = d.Allow, true
		case d.Deny == nil:
			c.problem(d.Pos, "", "an access entry needs allow or deny")
			continue
		}
		e := c.entry(doc, allow)
		e.order = len(c.p.access.entries)
		e.at = c.at(d.Pos)
		e.public = doc.public(allow)
		if e.public.At = e.at; d.Pos.File == c.opts.Entries {
			e.public.Key = e.public.key()
		}
		c.p.access.entries = append(c.p.access.entries, e)
	}
	c.p.access.index()
}

// entry compiles one entry.
func (c *compiler) entry(d *whoseDoc, allow bool) *entry {
	e := &entry{allow: allow, unsafe: d.Unsafe, expires: d.Expires, reason: d.Reason}
	e.source = describe("client", d.Client.joined(), "helo", d.Helo.joined(), "sender", d.Sender.joined(), "recipient", d.Recipient.joined(),
		"country", d.Country.joined(), "asn", d.ASN.joined())
	if d.Unsafe && (!allow || d.Sender == nil) {
		c.problem(d.Pos, "", "unsafe belongs to an allow entry with sender")
	}
	known := false
	if d.Client != nil {
		s := c.host(d.Client)
		e.client, known = &s, true
	}
	for _, i := range d.Country {
		v := strings.ToUpper(i.Value)
		if len(v) != 2 || v[0] < 'A' || v[0] > 'Z' || v[1] < 'A' || v[1] > 'Z' {
			c.problem(i.Pos, "", "%s is not a two-letter country code", quoted(i.Value))
		}
		e.country, known = append(e.country, v), true
	}
	for _, i := range d.ASN {
		n, err := strconv.ParseUint(strings.TrimPrefix(strings.ToUpper(i.Value), "AS"), 10, 32)
		if err != nil || n == 0 {
			c.problem(i.Pos, "", "%s is not the number of an autonomous system", quoted(i.Value))
		}
		e.asn, known = append(e.asn, uint32(n)), true
	}
	if d.Helo != nil {
		e.helo, e.moment, known = c.names(d.Helo), Helo, true
	}
	if d.Sender != nil {
		s := c.address(d.Sender)
		e.sender, e.moment, known = &s, MailFrom, true
		if allow && !d.Unsafe {
			e.moment = atEnd
		}
	}
	if d.Recipient != nil {
		s := c.address(d.Recipient)
		e.rcpt, e.moment, known = &s, max(e.moment, Rcpt), true
	}
	if !known {
		c.problem(d.Pos, "", "an access entry needs client, helo, sender, recipient, country or asn")
	}
	return e
}

// names compiles host names and suffixes.
func (c *compiler) names(patterns items) *domainSet {
	s := &domainSet{}
	for _, i := range patterns {
		d := canonicalDomain(i.Value)
		if !isDomain(strings.TrimPrefix(d, "*.")) && !strings.HasPrefix(d, "[") {
			c.problem(i.Pos, "", "%s is not a host name", quoted(i.Value))
			continue
		}
		s.add(d)
	}
	return s
}

// index files every entry under what it asks for first.
func (t *accessTable) index() {
	nets := map[int]map[netip.Prefix][]int32{}
	for n, e := range t.entries {
		i := int32(n)
		if e.allow {
			t.allows = append(t.allows, i)
		}
		switch {
		case e.client != nil && len(e.client.lists) == 0 && e.client.names.exact == nil:
			for p := range e.client.networks.nets {
				length := lengthOf(p)
				if nets[length] == nil {
					nets[length] = map[netip.Prefix][]int32{}
				}
				nets[length][p] = append(nets[length][p], i)
			}
		case e.sender != nil && t.senders.add(e.sender, i):
		case e.rcpt != nil && t.rcpts.add(e.rcpt, i):
		default:
			t.rest = append(t.rest, i)
		}
	}
	for length, entries := range nets {
		t.networks = append(t.networks, netIndex{length, entries})
	}
}

// add files an entry; ok is false if the set cannot be found by look-up.
func (x *addressIndex) add(s *addressSet, i int32) (ok bool) {
	if s.any || s.null || s.locals != nil || s.lists != nil {
		return false
	}
	if x.exact == nil {
		x.exact, x.domain, x.below = map[string][]int32{}, map[string][]int32{}, map[string][]int32{}
	}
	for a := range s.exact {
		x.exact[a] = append(x.exact[a], i)
	}
	for d := range s.domains.exact {
		x.domain[d] = append(x.domain[d], i)
	}
	for d := range s.domains.below {
		x.below[d] = append(x.below[d], i)
	}
	return true
}

// find appends the entries that may match an address.
func (x *addressIndex) find(a string, found []int32) []int32 {
	if len(x.exact)+len(x.domain)+len(x.below) == 0 || a == "" {
		return found
	}
	found = append(found, x.exact[a]...)
	domain := domainOf(a)
	found = append(found, x.domain[domain]...)
	for len(x.below) > 0 {
		_, rest, ok := strings.Cut(domain, ".")
		if !ok {
			break
		}
		domain = rest
		found = append(found, x.below[domain]...)
	}
	return found
}

// first is the first entry that matches, nil if there is none or one before it may still match.
func (t *accessTable) first(q *question) *entry {
	if len(t.entries) == 0 {
		return nil
	}
	var room [16]int32
	found := append(room[:0], t.rest...)
	for i := range t.networks {
		if p, ok := prefixAt(q.env.Remote, t.networks[i].length); ok {
			found = append(found, t.networks[i].entries[p]...)
		}
	}
	found = t.senders.find(q.sender, found)
	found = t.senders.find(q.author, found)
	found = t.rcpts.find(q.rcpt, found)
	slices.Sort(found)
	for _, i := range found {
		e := t.entries[i]
		if slices.Contains(q.skip, e) || e.match(q) != yes {
			continue
		}
		if !e.allow && t.mayAllow(q, i) {
			return nil
		}
		return e
	}
	return nil
}

// mayAllow reports whether an allow entry before entry i may still come to match.
func (t *accessTable) mayAllow(q *question, i int32) bool {
	for _, k := range t.allows {
		if k >= i {
			return false
		}
		if !slices.Contains(q.skip, t.entries[k]) && t.entries[k].match(q) == later {
			return true
		}
	}
	return false
}
