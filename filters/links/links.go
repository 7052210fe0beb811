package links

import (
	"context"
	"fmt"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/filters/web"
	"gatepost/rules/brands"
	"gatepost/rules/danger"
	"gatepost/rules/lookalike"
	"gatepost/rules/sites"
)

// Config is the filter's section.
type Config struct {
	QR bool `yaml:"qr" default:"true" doc:"Look for QR codes in pictures and PDF documents, and treat what they say as links."`
}

// A Memory knows which domains mail to this site linked to before. gateway/people.Book is the real one.
type Memory interface {
	// Linked reports whether mail that was accepted linked to a registered domain before; known is false while too little is remembered
	// to say.
	Linked(domain string) (seen, known bool)
	// Partners are the domains that this site often writes with; nil while it knows none.
	Partners() *web.Kin
}

// Knowledge is the data that the filter judges by.
type Knowledge struct {
	Sites  *sites.Table
	Brands *brands.Table
	Look   *lookalike.Table
	Danger danger.Table
	Own    *web.Kin // the domains that this site accepts mail for
	Memory Memory   // nil: nobody remembers anything
}

// A Filter is the links filter. It is immutable.
type Filter struct {
	Knowledge
	cfg Config
}

// New makes the filter.
func New(cfg Config, k Knowledge) *Filter { return &Filter{k, cfg} }

// A check is the examination of one message.
type check struct {
	*Filter
	m      *mail.Mail
	links  []web.Link
	author string           // registered domain of the first author; empty if there is none
	hosts  map[string]*host // by name
	facts  filters.Facts
	at     map[string]int // finding codes -> their place
	codes  []web.Link     // of QR codes
	few    bool           // the links to click lead to few places
}

// A host is what was found out about one host of the message.
type host struct {
	class sites.Class
	named bool          // its name was looked at
	asked bool          // whose it is: see owned
	home  bool          // the author's
	owner *brands.Brand // the firm whose it is; nil: none that is known
}

// Check implements filters.Filter. It always sets Facts.URLs, unless the message cannot be read.
func (f *Filter) Check(ctx context.Context, m *mail.Mail) (filters.Facts, error) {
	c := &check{Filter: f, m: m, hosts: map[string]*host{}, at: map[string]int{}}
	c.links = web.Links(m.Message)
	err := c.pictures(ctx)
	if merr := m.Err(); merr != nil {
		return filters.Facts{}, merr
	}
	if authors := m.Authors(); len(authors) > 0 {
		if c.author = mail.OrganizationalDomain(authors[0].Domain); c.author == "" {
			c.author = authors[0].Domain
		}
	}
	c.list()
	for i := range c.codes {
		c.found("links.qr", "A picture or document holds a QR code that leads to "+c.codes[i].Host+".", &c.codes[i])
	}
	for i := range c.links {
		c.link(&c.links[i])
	}
	c.together()
	c.unread()
	return c.facts, err
}

// unread states which texts were not looked at to their end. A page that is, as mail, larger than anybody writes hides from
// every filter what stands behind the bound; a long plain text, such as a log, is only told.
func (c *check) unread() {
	for _, p := range c.m.Unread() {
		where := filters.Evidence{Where: "part " + p.Path(), At: &[2]int64{p.Body.Start, p.Body.End - p.Body.Start}}
		if p.Path() == "" {
			where.Where = "body"
		}
		where.What = fmt.Sprintf("%s of %d octets", mail.Printable(p.Type, 60), p.Body.End-p.Body.Start)
		code, text := "links.limit", "A text is larger, or holds more links, than is looked at."
		if p.View().HTML {
			code, text = "links.unscannable.limit", "A page is larger, or holds more links, than is looked at, so not all of it was seen."
		}
		c.state(code, text, where)
	}
}

// maxListed is how many URLs are stated as facts and kept in the journal.
const maxListed = 500

// list states the URLs, each once, in the order in which they stand.
func (c *check) list() {
	c.facts.URLs = make([]filters.URL, 0, min(len(c.links), maxListed))
	seen := make(map[string]bool, len(c.links))
	for i := range c.links {
		l := &c.links[i]
		if !l.Web() || seen[l.URL] || l.Where == "pdf" { // those of documents are stated by filter attach
			continue
		}
		if len(c.facts.URLs) == maxListed {
			c.found("links.limit", fmt.Sprintf("There are more than %d different links; the others are examined and not listed.", maxListed), l)
			return
		}
		seen[l.URL] = true
		c.facts.URLs = append(c.facts.URLs, filters.URL{URL: l.URL, Host: l.Host, Domain: l.Domain, Text: shown(l)})
	}
}

// shown is what the reader sees, if that is not the URL itself.
func shown(l *web.Link) string {
	if l.Text == l.Raw || l.Inside != "" || l.Where == "qr" {
		return ""
	}
	return mail.Printable(l.Text, 200)
}

// host is what is known of a link's host.
func (c *check) host(l *web.Link) *host {
	h := c.hosts[l.Host]
	if h == nil {
		h = &host{class: c.Sites.Class(l.Host)}
		c.hosts[l.Host] = h
	}
	return h
}

// Hosts lists the hosts of a message's links for lists of bad names: those to click first, then those that are fetched, each once, and
// none that documents need or that is a private name. The targets inside of redirectors are among them.
func Hosts(m *mail.Message, known *sites.Table) []string {
	links := web.Links(m)
	var list []string
	seen := map[string]bool{}
	for _, use := range [...]web.Use{web.Click, web.Load, web.Mention} {
		for i := range links {
			l := &links[i]
			if l.Use != use || !l.Web() || seen[l.Host] || l.Odd&(web.BadHost|web.BlankHost) != 0 || l.Domain == "" && !l.IP.IsValid() || known.Class(l.Host).Is(sites.Machinery) {
				continue
			}
			seen[l.Host] = true
			list = append(list, l.Host)
		}
	}
	return list
}

// maxProofs is how many places prove one finding.
const maxProofs = 3

// found states a finding with a link as proof, or adds a proof to one that was stated.
func (c *check) found(code, text string, l *web.Link) {
	if i, have := c.at[code]; have && len(c.facts.Findings[i].Proof) == maxProofs {
		return
	}
	c.state(code, text, c.proof(l))
}

// state states a finding, or adds a proof to one that was stated.
func (c *check) state(code, text string, proof filters.Evidence) {
	if i, have := c.at[code]; have {
		f := &c.facts.Findings[i]
		if len(f.Proof) < maxProofs && f.Proof[len(f.Proof)-1].What != proof.What {
			f.Proof = append(f.Proof, proof)
		}
		return
	}
	c.at[code] = len(c.facts.Findings)
	c.facts.Findings = append(c.facts.Findings, filters.Finding{Code: code, Text: mail.Printable(text, 300), Proof: []filters.Evidence{proof}})
}

// proof says where a link stands and what it says.
func (c *check) proof(l *web.Link) filters.Evidence {
	e := filters.Evidence{Where: l.Where, What: mail.Printable(l.Raw, 200)}
	if s := shown(l); s != "" && s != l.Raw {
		e.What = mail.Printable(mail.Printable(s, 60)+" -> "+l.Raw, 200)
	}
	e.Where = "part " + l.Part.Path() + " " + l.Where
	if l.Part.Path() == "" {
		e.Where = "body " + l.Where
	}
	if l.File != "" {
		e.Where += " of " + mail.Printable(l.File, 60)
	}
	e.At = c.place(l)
	return e
}

// maxSought is how much of a part is searched for a link's place.
const maxSought = 64 << 10

// place is where a link's letters stand in the message; where they are encoded, the part that holds them.
func (c *check) place(l *web.Link) *[2]int64 {
	body := l.Part.Body
	b := c.m.Bytes(mail.Span{Start: body.Start, End: min(body.End, body.Start+maxSought)})
	for _, want := range [...]string{l.Raw, l.Host} {
		if n := index(b, want); n >= 0 && want != "" {
			return &[2]int64{body.Start + int64(n), int64(len(want))}
		}
	}
	return &[2]int64{body.Start, body.End - body.Start}
}
