package spoof

import (
	"context"
	"strings"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/filters/web"
	"gatepost/rules/brands"
	"gatepost/rules/lookalike"
	"gatepost/rules/sites"
)

// Config is the filter's section. Nothing needs to be set: people, partners and their habits are learnt from mail.
type Config struct {
	VIPs []Person `yaml:"vips" doc:"People whose names are worth most to deceivers, beside those in the policy's lists. Others of this site are learnt."`
}

// A Person is somebody with a name and addresses that are his own.
type Person struct {
	Name      string   `yaml:"name" required:"true" doc:"As display names have it."`
	Addresses []string `yaml:"addresses" doc:"All addresses from which this person writes."`
}

// People knows who writes to this site and who reads here. gateway/people.Book is the real one.
type People interface {
	// Sender is what is remembered of an author's canonical address, never nil.
	Sender(address string) *filters.Sender
	// Contact reports whether an author wrote to a recipient before.
	Contact(address, rcpt string) bool
	// Ours lists the addresses of people of this site who bear a name, by the key that Key makes of it.
	Ours(key string) []string
	// Writers lists the registered domains from which people of a name wrote often.
	Writers(key string) []string
	// Partners are the domains that this site often writes with; nil while it knows none.
	Partners() *web.Kin
}

// Knowledge is the data that the filter judges by.
type Knowledge struct {
	Sites  *sites.Table
	Brands *brands.Table
	Look   *lookalike.Table
	Ours   map[string]bool // the domains that this site accepts mail for
	Own    *web.Kin        // the same
	VIPs   []Person        // those of the policy's lists
	People People          // nil: nobody remembers anything
}

// A Filter is the spoof filter. It is immutable.
type Filter struct {
	Knowledge
	vips map[string][]string // name keys -> canonical addresses
}

// New makes the filter.
func New(cfg Config, k Knowledge) *Filter {
	f := &Filter{k, map[string][]string{}}
	for _, list := range [...][]Person{k.VIPs, cfg.VIPs} {
		for _, p := range list {
			key := Key(k.Look, p.Name)
			if key == "" {
				continue
			}
			f.vips[key] = append(f.vips[key], "")
			for _, a := range p.Addresses {
				f.vips[key] = append(f.vips[key], strings.ToLower(a))
			}
		}
	}
	return f
}

// A check is the examination of one message.
type check struct {
	*Filter
	m       *mail.Mail
	author  mail.Mailbox
	address string // canonical
	domain  string // registered domain of the author; empty if there is none
	list    bool   // the message came through a mailing list that says so
	facts   filters.Facts
}

// Check implements filters.Filter.
func (f *Filter) Check(_ context.Context, m *mail.Mail) (filters.Facts, error) {
	c := &check{Filter: f, m: m}
	authors := m.Authors()
	if len(authors) > 0 {
		c.author = authors[0]
		c.address = Canonical(c.author)
		if c.domain = mail.OrganizationalDomain(c.author.Domain); c.domain == "" && web.Registrable(c.author.Domain) {
			c.domain = c.author.Domain // a domain under which others are registered writes itself
		}
		c.list = len(m.Fields("List-Id"))+len(m.Fields("List-Post"))+len(m.Fields("X-BeenThere"))+len(m.Fields("Mailing-List"))+len(m.Fields("X-Mailing-List")) > 0
		c.people()
		c.domains()
		c.names()
		c.form()
		c.brands()
		c.letterhead()
		c.button()
		c.reader()
	}
	c.replies()
	c.money()
	c.thread()
	if err := m.Err(); err != nil {
		return filters.Facts{}, err
	}
	return c.facts, nil
}

// Canonical is a mailbox's address in lower case with its domain in A-labels.
func Canonical(a mail.Mailbox) string {
	at := strings.LastIndexByte(a.Address, '@')
	if at < 0 || a.Domain == "" {
		return strings.ToLower(mail.Printable(a.Address, 320))
	}
	return strings.ToLower(mail.Printable(a.Address[:at], 256)) + "@" + a.Domain
}

// ours reports whether the author claims to be of this site.
func (c *check) ours() bool { return c.Ours[c.author.Domain] || c.Own.Has(c.domain) }

// found states a finding that the author's field proves.
func (c *check) found(code, text string) { c.foundAt(code, text, "header From", c.author.Span) }

// foundAt states a finding that stands at a span.
func (c *check) foundAt(code, text, where string, at mail.Span) {
	e := filters.Evidence{Where: where, At: &[2]int64{at.Start, at.End - at.Start}}
	if at.End > at.Start+maxQuoted {
		at.End = at.Start + maxQuoted
	}
	if e.What = mail.Printable(strings.TrimSpace(mail.DecodeWords(mail.Unfold(string(c.m.Bytes(at))))), 200); e.What == "" {
		e.What = "(nothing)"
	}
	c.facts.Findings = append(c.facts.Findings, filters.Finding{Code: code, Text: mail.Printable(text, 300), Proof: []filters.Evidence{e}})
}

// maxQuoted is how much of a field is shown as evidence, in octets as they stand.
const maxQuoted = 300

// people looks at who the author is to this site.
func (c *check) people() {
	free := c.Sites.Class(c.author.Domain).Is(sites.Freemail)
	if free {
		c.found("spoof.free-mail", "The author uses a mailbox that anybody can open.")
	}
	sender := &filters.Sender{FreeMail: free}
	if c.People != nil {
		if s := c.People.Sender(c.address); s != nil {
			*sender = *s
			sender.FreeMail = free
		}
		sender.FirstContact = sender.Remembered && len(c.m.Rcpts) > 0
		for _, r := range c.m.Rcpts {
			if c.People.Contact(c.address, r.Canonical()) {
				sender.FirstContact = false
				break
			}
		}
	}
	c.facts.Sender = sender
	switch {
	case sender.Remembered && sender.Messages > 0:
		c.found("spoof.known-sender", "The author has written to this site since "+sender.FirstSeen.UTC().Format(time.DateOnly)+".")
	case sender.Remembered:
		c.found("spoof.first-contact", "The author has never written to this site before.")
	}
	c.person(sender)
}

// trusted is how many accepted messages of an address make its bearer one of the addresses of a name.
const trusted = 5

// person looks for a name of this site at a foreign address.
func (c *check) person(sender *filters.Sender) {
	key := Key(c.Look, c.author.Name)
	if key == "" || c.ours() {
		return
	}
	if own, ok := c.vips[key]; ok {
		if !contains(own, c.address) {
			c.found("spoof.vip", "The author's display name is that of a person to be protected, and the address is foreign.")
		}
		return
	}
	if c.People == nil || sender.Messages >= trusted {
		return
	}
	if own := c.People.Ours(key); len(own) > 0 && !contains(own, c.address) && c.domain != "" {
		c.found("spoof.person", "The author's display name is that of "+own[0]+", and the address is foreign.")
		return
	}
	if from := c.People.Writers(key); len(from) > 0 && c.domain != "" && !contains(from, c.domain) {
		c.found("spoof.known-name", "People of this name write from "+from[0]+"; this author writes from "+c.domain+".")
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// titles are words of display names that are no names.
const titles = " mr mrs ms miss dr prof sir herr frau ing dipl mag phd md mba ceo cfo cto coo cio president director manager chairman "

// Key is what display names of one person have in common, however they are written: the folded words in order of the alphabet, without
// titles and what stands in brackets. It is empty for names of one word, which many bear.
func Key(look *lookalike.Table, name string) string {
	if len(name) > maxName || name == "" {
		return ""
	}
	name = look.Fold(name)
	for _, b := range [...][2]string{{"(", ")"}, {"[", "]"}, {"<", ">"}} {
		if before, rest, ok := strings.Cut(name, b[0]); ok {
			_, after, _ := strings.Cut(rest, b[1])
			name = before + " " + after
		}
	}
	words := nameWords(name)
	n := 0
	for _, w := range words {
		if !strings.Contains(titles, " "+w+" ") {
			words[n] = w
			n++
		}
	}
	return joined(words[:n])
}

// maxName bounds the display names that are compared, in octets.
const maxName = 200
