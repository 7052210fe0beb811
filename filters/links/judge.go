package links

import (
	"bytes"
	"fmt"
	"path"
	"strings"

	"gatepost/filters/mail"
	"gatepost/filters/web"
	"gatepost/rules/brands"
	"gatepost/rules/lookalike"
	"gatepost/rules/sites"
)

// index is where a string stands in bytes.
func index(b []byte, s string) int { return bytes.Index(b, []byte(s)) }

// link looks at one link by itself.
func (c *check) link(l *web.Link) {
	if !l.Web() {
		c.foreignScheme(l)
		return
	}
	h := c.host(l)
	if l.Use == web.Load {
		c.load(l, h)
		return
	}
	if l.Use == web.Mention || h.class.Is(sites.Machinery) {
		return
	}
	c.spelling(l)
	if !h.named {
		h.named = true
		c.name(l)
	}
	c.compare(l)
	if ext := strings.TrimPrefix(path.Ext(l.Path), "."); l.Path != "/" && ext != "" && len(ext) < 12 && c.Danger.Class(ext).Runs() && !pageExt(ext) {
		c.found("links.download", "A link leads directly to a file that runs.", l)
	}
}

// pageExt reports whether web servers use the extension for pages.
func pageExt(ext string) bool {
	switch strings.ToLower(ext) {
	case "com", "pl", "py", "rb", "sh", "js", "url", "application", "dll", "exe", "class", "command", "reg", "run":
		return true // exe and dll were the pages of servers of the nineties: /cgi-bin/x.exe?id=1
	}
	return false
}

// foreignScheme looks at links that no web server answers.
func (c *check) foreignScheme(l *web.Link) {
	if l.Use != web.Click {
		return
	}
	switch s := l.Scheme; {
	case s == "javascript", s == "vbscript", s == "data" && !strings.HasPrefix(l.Path, "image/"):
		c.found("links.data", "A link to click holds a page or a script instead of leading to one.", l)
	case s == "file", s == "smb", s == "search-ms", s == "search", s == "ldap", strings.HasPrefix(s, "ms-"), s == "jar", s == "shell", s == "res":
		if l.Where != "text" && l.Where != "bare" {
			c.found("links.program", "A link starts a program or opens a share on the reader's machine.", l)
		}
	}
}

// load looks at what is fetched to show the message.
func (c *check) load(l *web.Link, h *host) {
	switch {
	case l.IP.IsValid():
		c.found("links.image-ip", "The message fetches a picture from an IP address rather than from a name.", l)
	case h.class.Is(sites.Image) && strings.HasSuffix(l.Where, "src"):
		c.found("links.image-host", "The message shows a picture from a service where anybody can put one.", l)
	}
}

// spelling looks at how a link is written.
func (c *check) spelling(l *web.Link) {
	if l.Odd&web.UserInfo != 0 && l.Where != "text" && l.Where != "bare" {
		c.found("links.userinfo", "A link hides its target behind a user name before an @ sign.", l)
	}
	switch {
	case l.Odd&web.Notation != 0:
		c.found("links.obscured-ip", fmt.Sprintf("A link leads to the address %s in a notation that hides it.", l.Host), l)
	case l.IP.IsValid() && !l.IP.IsPrivate() && !l.IP.IsLoopback():
		c.found("links.bare-ip", "A link leads to an IP address rather than to a name.", l)
	}
	if l.Odd&(web.EscapedURL|web.Wide) != 0 || l.Odd&web.Backslash != 0 && l.Where != "text" {
		c.found("links.disguised", "A link is written in a way that only hides where it leads.", l)
	}
	switch l.Port {
	case 0, 80, 443, 8080, 8443, 8000, 8888:
	default:
		if l.Inside == "" && l.Where != "text" && l.Where != "bare" {
			c.found("links.odd-port", fmt.Sprintf("A link leads to port %d, which no public web server uses.", l.Port), l)
		}
	}
}

// shelter looks at a service that lends its name to anybody.
func (c *check) shelter(l *web.Link, class sites.Class) {
	text := l.Where == "text" || l.Where == "pdf"
	for _, s := range [...]struct {
		class sites.Class
		code  string
		text  string
		both  bool // in plain text as well
	}{
		{sites.Shortener, "links.shortener", "A link goes through a service that hides its target.", true},
		{sites.Hosting, "links.hosting", "A link leads to a page on a service where anybody can put one.", false},
		{sites.Bucket, "links.bucket", "A link leads to rented storage or a rented machine.", false},
		{sites.Dynamic, "links.dynamic", "A link leads to a free name for changing addresses.", true},
	} {
		if class.Is(s.class) && (s.both || !text) {
			c.found(s.code, s.text, l)
		}
	}
	if class.Is(sites.Cheap) && !class.Is(sites.Shortener|sites.Hosting|sites.Bucket|sites.Tracker|sites.Rewriter) {
		c.found("links.cheap", "A link leads to a name under an ending that is abused far beyond its share.", l)
	}
	if class.Is(sites.Redirector) && l.Inside == "" && !text {
		if inner, ok := web.Inner(&l.Target); ok && inner.Domain() != l.Domain && inner.Domain() != c.author {
			c.found("links.redirector", fmt.Sprintf("A link uses the redirector of %s to lead to %s.", l.Domain, inner.Host), l)
		}
	}
}

// name looks at the name of a link's host.
func (c *check) name(l *web.Link) {
	if l.Domain == "" || l.IP.IsValid() {
		return
	}
	if original, how := c.Own.Pose(l.Host, l.Domain); how != lookalike.Not && c.author != l.Domain {
		c.found("links.lookalike-own", fmt.Sprintf("A link leads to %s, which resembles %s of this site.", l.Host, original), l)
		return
	}
	if c.Memory != nil && c.author != l.Domain {
		if original, how := c.Memory.Partners().Pose(l.Host, l.Domain); how == lookalike.Disguise || how == lookalike.Slip {
			c.found("links.lookalike-own", fmt.Sprintf("A link leads to %s, which resembles %s, a domain that this site often writes with.", l.Host, original), l)
			return
		}
	}
	readable := l.Readable()
	own, _, _ := strings.Cut(l.Domain, ".")
	if strings.HasPrefix(own, "xn--") {
		t := web.Target{Host: own}
		own = t.Readable()
		if lookalike.Mixed(own) || c.Look.Disguised(own) && ascii(tld(l.Domain)) {
			c.found("links.homograph", "The name of a linked site imitates Latin letters with others: "+readable+".", l)
		}
	}
	c.brandName(l, own)
	if l.Where != "bare" && web.Random(own) {
		c.found("links.random", "A link leads to a name that looks made by a machine.", l)
	}
	if labels := strings.Count(l.Host, "."); labels >= 6 || len(l.Host) > 70 {
		c.found("links.deep", "A link leads to a name with unusually many or long labels.", l)
	}
}

// brandName looks for the name of a firm in a host that is not the firm's.
func (c *check) brandName(l *web.Link, own string) {
	b, how := c.Brands.Like(own)
	if how == brands.None || b.Owns(l.Host) {
		c.brandBelow(l)
		return
	}
	switch how {
	case brands.Disguise, brands.Slip:
		if l.Domain != c.author {
			c.found("links.lookalike", fmt.Sprintf("A link leads to %s, which looks like a name of %s and is another.", l.Readable(), b.Name), l)
		}
	case brands.Part:
		if l.Domain != c.author && l.Where != "text" && l.Where != "bare" {
			c.found("links.brand-name", fmt.Sprintf("A link leads to %s, which bears the name of %s, who does not own it.", l.Readable(), b.Name), l)
		}
	case brands.Same:
		if c.host(l).class.Is(sites.Cheap) {
			c.found("links.brand-name", fmt.Sprintf("A link leads to %s, which bears the name of %s, who does not own it.", l.Readable(), b.Name), l)
		}
	}
}

// brandBelow looks for the name of a firm in what stands before the registered domain.
func (c *check) brandBelow(l *web.Link) {
	front, ok := strings.CutSuffix(l.Host, "."+l.Domain)
	if !ok || l.Where == "text" || l.Where == "bare" || c.host(l).class.Is(sites.Rewriter|sites.Tracker|sites.Redirector) {
		return
	}
	for n := 0; front != "" && n < 8; n++ {
		var label string
		label, front, _ = strings.Cut(front, ".")
		if b, how := c.Brands.Like(label); how != brands.None && how != brands.Slip && !b.Owns(l.Host) {
			c.found("links.brand-name", fmt.Sprintf("A link leads to %s, which bears the name of %s, who does not own it.", l.Host, b.Name), l)
			return
		}
	}
}

// compare holds what a link shows against where it leads.
func (c *check) compare(l *web.Link) {
	if l.Inside != "" || l.Where != "a href" && l.Where != "area href" {
		return
	}
	t, ok := web.Shown(l.Text)
	if !ok {
		return
	}
	domain := t.Domain()
	if domain == "" || domain == l.Domain || t.Host == l.Host || c.leads(l, domain) {
		return
	}
	b := c.Brands.Owner(domain)
	switch {
	case b != nil && b.Owns(l.Host):
	case c.counted(l, domain):
		c.found("links.tracked", fmt.Sprintf("A link shows %s and leads through the click counter %s.", domain, l.Host), l)
	case b != nil && !c.host(l).class.Is(sites.Rewriter):
		c.found("links.mismatch-brand", fmt.Sprintf("A link shows %s of %s and leads to %s.", domain, b.Name, l.Host), l)
	default:
		c.found("links.mismatch", fmt.Sprintf("A link shows %s and leads to %s.", domain, l.Host), l)
	}
}

// leads reports whether a target inside of the link is in the domain.
func (c *check) leads(l *web.Link, domain string) bool {
	t := l.Target
	for range 3 {
		inner, ok := web.Inner(&t)
		if !ok {
			return false
		}
		if inner.Domain() == domain {
			return true
		}
		t = inner
	}
	return false
}

// counted reports whether a link goes through a click counter: a known one, or, in bulk mail, the one of the author's domain or the
// place where the other links of the message go as well.
func (c *check) counted(l *web.Link, domain string) bool {
	if c.host(l).class.Is(sites.Tracker | sites.Rewriter) {
		return true
	}
	if l.Domain == c.author {
		return true
	}
	if !c.m.Has("List-Unsubscribe", "List-Id") {
		return false
	}
	same := 0
	for i := range c.links {
		if o := &c.links[i]; o.Use == web.Click && o.Host == l.Host && o.Inside == "" {
			same++
		}
	}
	return same >= 3 && (domain == c.author || c.Brands.Owner(domain) == nil)
}

// tld is the last label of a name.
func tld(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

func ascii(s string) bool { return !strings.HasPrefix(s, "xn--") }

// addressIn reports whether a URL carries an address, as it is or in a disguise that readers of logs do not see.
func addressIn(url string, a mail.Address) bool {
	return strings.Contains(strings.ToLower(url), strings.ToLower(a.String()))
}
