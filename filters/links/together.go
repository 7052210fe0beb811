package links

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"gatepost/filters/web"
	"gatepost/rules/brands"
	"gatepost/rules/sites"
)

// together looks at all links at once.
func (c *check) together() {
	c.elsewhere()
	c.away()
	c.shelters()
	c.borrowed()
	c.recipients()
	c.unknown()
}

// elsewhere looks at where the links to click lead as a whole.
func (c *check) elsewhere() {
	var first *web.Link
	places := map[string]bool{}
	home, counted := false, false
	for i := range c.links {
		l := &c.links[i]
		if l.Use != web.Click || !l.Web() || l.Where == "bare" || l.Where == "pdf" || c.host(l).class.Is(sites.Social|sites.Machinery) {
			continue
		}
		if c.firms(l) {
			continue
		}
		place := placeOf(l)
		places[place] = true
		if c.owned(l).home {
			home = true
			continue
		}
		if i+1 < len(c.links) && c.links[i+1].Inside == l.URL {
			delete(places, place)
			continue // what counts is where it leads in the end
		}
		if first == nil && !frank(l) {
			first = l
		}
		counted = counted || c.host(l).class.Is(sites.Tracker) && l.Inside == ""
	}
	c.few = len(places) <= maxFew
	switch {
	case first == nil || home || c.author == "":
	case c.m.Has("In-Reply-To", "References"): // people who talk point to all sorts of places
	case len(places) == 1:
		c.found("links.elsewhere", fmt.Sprintf("Every link to click leads to %s; the author's domain is %s.", first.Host, c.author), first)
	case !counted:
		c.found("links.foreign", fmt.Sprintf("No link to click leads to the author's domain, %s.", c.author), first)
	}
}

// placeOf is where a link leads: the domain that someone registered, or what stands in its stead.
func placeOf(l *web.Link) string { return cmp.Or(l.Domain, l.Host) }

// owned is what is known of a link's host, whose it is included. It is the author's if it is in his domain, one of his name, or
// one of the firm that his domain is of. Many links of a message lead to one host, so this is asked once of each.
func (c *check) owned(l *web.Link) *host {
	h := c.host(l)
	if !h.asked {
		place := placeOf(l)
		h.asked, h.owner = true, c.Brands.Owner(place)
		h.home = place == c.author || sameName(place, c.author) || h.owner != nil && h.owner.Owns(c.author) ||
			h.owner == nil && longerName(place, c.author) && c.Brands.Owner(c.author) == nil
	}
	return h
}

// firms reports whether a link leads to a well-known firm's own site, where others cannot put what they like: whoever is paid
// or sends a parcel sends his customers there.
func (c *check) firms(l *web.Link) bool {
	h := c.owned(l)
	return h.owner != nil && l.Inside == "" && !h.class.Is(sites.Hosting|sites.Bucket|sites.Redirector|sites.Shortener|sites.Image|sites.Freemail)
}

// away looks whether anything leads to the author at all, be it only written in the text: who asks for something in a firm's
// name gives its address beside his own. Answers, lists and what mailing services count tell nothing.
func (c *check) away() {
	if c.author == "" || c.m.Has("In-Reply-To", "References", "List-Id", "List-Post") {
		return
	}
	var first *web.Link
	places := make([]string, 0, maxFew)
	for i := range c.links {
		l := &c.links[i]
		class := c.host(l).class
		if l.Use != web.Click || !l.Web() || l.Where == "pdf" || class.Is(sites.Social|sites.Machinery) {
			continue
		}
		if c.owned(l).home || c.firms(l) || class.Is(sites.Tracker) {
			return
		}
		if place := placeOf(l); !slices.Contains(places, place) {
			if len(places) == maxFew {
				return
			}
			places = append(places, place)
		}
		first = cmp.Or(first, l)
	}
	if first != nil {
		c.found("links.away", fmt.Sprintf("No link leads to the author's domain, %s, nor is one to it written in the text.", c.author), first)
	}
}

// sameName reports whether two domains have one name under two endings, as firms do.
func sameName(a, b string) bool {
	x, _, _ := strings.Cut(a, ".")
	y, _, _ := strings.Cut(b, ".")
	return x == y && len(x) >= 4
}

// longerName reports whether the name of one domain is the other's and more behind or before a hyphen, as those that firms keep for
// their mail are: shop.example and shop-mail.example. The name of a firm that others pretend to be proves nothing in this way.
func longerName(a, b string) bool {
	x, _, _ := strings.Cut(a, ".")
	y, _, _ := strings.Cut(b, ".")
	if len(x) < len(y) {
		x, y = y, x
	}
	return len(y) >= 6 && (strings.HasPrefix(x, y+"-") || strings.HasSuffix(x, "-"+y))
}

// frank reports whether a link shows where it leads, as people's programs make links of what they write.
func frank(l *web.Link) bool {
	if l.Where == "text" || l.Where == "qr" {
		return l.Where == "text"
	}
	t, ok := web.Shown(l.Text)
	return ok && t.Host == l.Host
}

// maxFew is to how many places mail leads that wants one thing of its reader. A newsletter may mention a short link or a free page among
// many; who leads to little else means it.
const maxFew = 4

// shelters looks at services that lend their name to anybody, in mail that leads to few places.
func (c *check) shelters() {
	for i := range c.links {
		l := &c.links[i]
		if c.few && l.Use == web.Click && l.Web() && !(l.Domain != "" && l.Domain == c.author) && l.Where != "bare" {
			c.shelter(l, c.host(l).class)
		}
	}
}

// borrowed looks for pictures of a firm in a message whose links lead neither to the firm nor to the author.
func (c *check) borrowed() {
	var picture *web.Link
	var owner *brands.Brand
	for i := range c.links {
		l := &c.links[i]
		if l.Use != web.Load || !l.Web() || c.host(l).class.Is(sites.Machinery|sites.Image|sites.Tracker|sites.Bucket|sites.Hosting|sites.Redirector) {
			continue
		}
		if b := c.Brands.Owner(l.Domain); b != nil && !b.Owns(c.author) {
			picture, owner = l, b
			break
		}
	}
	if owner == nil {
		return
	}
	clicks := 0
	for i := range c.links {
		l := &c.links[i]
		if l.Use != web.Click || !l.Web() || c.host(l).class.Is(sites.Social) {
			continue
		}
		if l.Domain == c.author || owner.Owns(l.Host) {
			return
		}
		clicks++
	}
	if clicks > 0 {
		c.found("links.borrowed", fmt.Sprintf("The message shows a picture of %s, and its links lead neither there nor to the author.", owner.Name), picture)
	}
}

// recipients looks for a recipient's address in links to sites that are not the author's.
func (c *check) recipients() {
	for i := range c.links {
		l := &c.links[i]
		if l.Use != web.Click || !l.Web() || l.Domain == c.author {
			continue
		}
		for n, a := range c.m.Rcpts {
			if n < 5 && addressIn(l.Raw, a) {
				c.found("links.address-in-url", "A link to another site than the author's carries a recipient's address.", l)
				return
			}
		}
	}
}

// unknown looks for domains that this site has never seen.
func (c *check) unknown() {
	if c.Memory == nil {
		return
	}
	asked := map[string]bool{}
	for i := range c.links {
		l := &c.links[i]
		if l.Use != web.Click || !l.Web() || l.Domain == "" || asked[l.Domain] {
			continue
		}
		asked[l.Domain] = true
		if seen, known := c.Memory.Linked(l.Domain); known && !seen {
			c.found("links.never-seen", "A link leads to a domain that was in no message to this site before.", l)
		}
	}
}
