package spoof

import (
	"fmt"
	"strings"

	"gatepost/filters/mail"
	"gatepost/filters/web"
	"gatepost/rules/brands"
	"gatepost/rules/sites"
)

// brands looks for the name of a firm that is not the author's.
func (c *check) brands() {
	if c.domain == "" || c.ours() {
		return
	}
	own, _, _ := strings.Cut(c.domain, ".")
	label := web.Target{Host: own}
	if b, how := c.Brands.Like(label.Readable()); (how == brands.Disguise || how == brands.Slip) && !b.Owns(c.author.Domain) {
		c.found("spoof.lookalike-brand", fmt.Sprintf("The author's domain %s looks like that of %s and is another.", label.Readable(), b.Name))
	}
	if b := c.Brands.Named(mail.Visible(c.author.Name)); b != nil && !c.mayBear(b) {
		c.found("spoof.brand", fmt.Sprintf("The author's display name is that of %s, and %s is not its domain.", b.Name, c.domain))
		return
	}
	if b := c.inAddress(); b != nil {
		c.found("spoof.brand-address", fmt.Sprintf("The author's address bears the name of %s, and %s is not its domain.", b.Name, c.domain))
		return
	}
	c.subject()
}

// mayBear reports whether the author may bear a firm's name: the domain is the firm's, or a list or a service of the firm's own rewrote
// the author.
func (c *check) mayBear(b *brands.Brand) bool {
	return b.Owns(c.author.Domain) || c.list && strings.Contains(c.author.Name, " via ")
}

// inAddress looks for a firm's name in the local part and in the labels of the author's domain.
func (c *check) inAddress() *brands.Brand {
	at := strings.LastIndexByte(c.address, '@')
	if at < 0 {
		return nil
	}
	if !c.Sites.Class(c.author.Domain).Is(sites.Freemail) {
		// Local parts of free mailboxes are chosen by people who love a firm's wares, too.
		for _, w := range strings.FieldsFunc(c.address[:at], func(r rune) bool { return r == '.' || r == '-' || r == '_' || r == '+' || r == '=' }) {
			if b, how := c.Brands.Like(w); (how == brands.Same || how == brands.Disguise || how == brands.Part) && !b.Owns(c.author.Domain) {
				return b
			}
		}
	}
	for _, w := range strings.Split(c.author.Domain, ".") {
		if b, how := c.Brands.Like(w); how == brands.Part && !b.Owns(c.author.Domain) {
			return b
		}
	}
	return nil
}

// subject looks for a firm in the subject of a message that wants to be clicked.
func (c *check) subject() {
	if c.list || c.answers() {
		return
	}
	subject := c.m.Fields("Subject")
	if len(subject) == 0 {
		return
	}
	b := c.Brands.Named(c.m.Subject())
	if b == nil || b.Owns(c.author.Domain) {
		return
	}
	links := c.m.Links()
	for i := range links {
		if w := links[i].Where; w == "a href" || w == "area href" {
			c.foundAt("spoof.brand-subject", fmt.Sprintf("The subject speaks of %s, and the author writes from %s.", b.Name, c.domain), "header Subject", subject[0].Span)
			return
		}
	}
}

// maxHead is how much of the text is its head, in octets.
const maxHead = 60

// letterhead looks for a firm's name where a firm has its letterhead: in the first words of the text.
func (c *check) letterhead() {
	if c.list || c.domain == "" || c.ours() || c.answers() {
		return
	}
	text := c.m.Text()
	head := strings.TrimSpace(text[:min(len(text), 4*maxHead)])
	head = head[:min(len(head), maxHead)]
	if n := strings.IndexByte(head, '\n'); n >= 0 {
		head = head[:n]
	}
	b := c.Brands.Heads(mail.Visible(head))
	if b == nil || b.Owns(c.author.Domain) {
		return
	}
	c.foundAt("spoof.letterhead", fmt.Sprintf("The text begins with the name of %s, and the author writes from %s.", b.Name, c.domain), "text", c.m.BodySpan())
}

// button looks for links that write to a free mailbox which is neither the author's nor shown.
func (c *check) button() {
	if c.list || c.answers() {
		return
	}
	links := c.m.Links()
	for i := range links {
		l := &links[i]
		if l.Where != "a href" || !strings.HasPrefix(l.URL, "mailto:") && !strings.HasPrefix(l.URL, "MAILTO:") {
			continue
		}
		address, _, _ := strings.Cut(l.URL[len("mailto:"):], "?")
		address = strings.ToLower(strings.TrimSpace(strings.ReplaceAll(address, "%40", "@")))
		at := strings.LastIndexByte(address, '@')
		if at < 0 || mail.OrganizationalDomain(address[at+1:]) != address[at+1:] || address == c.address || strings.Contains(strings.ToLower(l.Text), address) || !c.Sites.Class(address[at+1:]).Is(sites.Freemail) {
			continue
		}
		c.foundAt("spoof.mail-button", "A link writes to "+address+", a mailbox that anybody can open, without showing it.", "a href", l.Part.Body)
		return
	}
}

// answers reports whether the message names one that it answers.
func (c *check) answers() bool {
	return len(c.m.Fields("In-Reply-To"))+len(c.m.Fields("References")) > 0
}

// reader looks at how the reader himself is brought in.
func (c *check) reader() {
	readers := c.m.Rcpts
	var to []string
	for _, a := range c.m.Addresses("To") {
		if len(to) < 5 {
			to = append(to, Canonical(a))
		}
	}
	for _, r := range readers[:min(len(readers), 5)] {
		to = append(to, r.Canonical())
	}
	subject := strings.ToLower(c.m.Subject())
	name := strings.ToLower(c.author.Name)
	done := map[string]bool{}
	state := func(code string, f func()) {
		if !done[code] {
			done[code] = true
			f()
		}
	}
	for _, a := range to {
		if len(a) < 6 {
			continue
		}
		if a == c.address && !c.list {
			state("self", func() { c.found("spoof.self", "The author's address is that of a recipient.") })
		}
		if strings.Contains(subject, a) {
			state("subject", func() {
				if f := c.m.Fields("Subject"); len(f) > 0 {
					c.foundAt("spoof.recipient-in-subject", "The subject speaks to the reader by his address.", "header Subject", f[0].Span)
				}
			})
		}
		if strings.Contains(name, a) && a != c.address {
			state("name", func() { c.found("spoof.recipient-in-name", "The author's display name holds the recipient's address.") })
		}
	}
}

// form looks at how the author's address is made.
func (c *check) form() {
	if c.domain == "" {
		return
	}
	if c.Sites.Class(c.author.Domain).Is(sites.Cheap) {
		c.found("spoof.cheap", "The author's domain stands under an ending that is abused far beyond its share.")
	}
	own, _, _ := strings.Cut(c.domain, ".")
	for _, label := range strings.Split(strings.TrimSuffix(c.author.Domain, c.domain)+own, ".") {
		if web.Random(label) {
			c.found("spoof.random", "The author's domain looks made by a machine.")
			return
		}
	}
}
