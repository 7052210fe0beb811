package links

import (
	"fmt"

	"gatepost/filters/web"
	"gatepost/rules/brands"
	"gatepost/rules/sites"
)

// together looks at all links at once.
func (c *check) together() {
	c.elsewhere()
	c.borrowed()
	c.recipients()
	c.unknown()
}

// elsewhere looks at where the links to click lead as a whole.
func (c *check) elsewhere() {
	var only *web.Link
	for i := range c.links {
		l := &c.links[i]
		if l.Use != web.Click || !l.Web() || l.Where == "bare" || c.host(l).class.Is(sites.Social|sites.Machinery) {
			continue
		}
		place := l.Domain
		if place == "" {
			place = l.Host
		}
		if place == c.author {
			return
		}
		if only == nil {
			only = l
		} else if only.Domain != l.Domain || only.Domain == "" && only.Host != l.Host {
			return
		}
	}
	if only != nil && only.Where != "text" && c.author != "" {
		c.found("links.elsewhere", fmt.Sprintf("Every link to click leads to %s; the author's domain is %s.", only.Host, c.author), only)
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
