package mail

import (
	"net/url"
	"strings"

	"golang.org/x/net/html/atom"
)

// attributes reads those of one element.
type attributes struct {
	reader  *htmlReader
	tag     atom.Atom
	name    string
	element *opened
	alt     string
	img     string
	refresh bool
	content string
}

// read takes one attribute; its value is already unescaped.
func (a *attributes) read(key string, val []byte) {
	switch key {
	case "href", "xlink:href", "src", "action", "formaction", "background", "data", "poster", "srcset", "cite", "longdesc", "lowsrc", "dynsrc", "ping", "codebase", "classid", "manifest", "icon":
		a.link(key, string(val))
	case "style":
		a.style(string(val))
	case "hidden":
		a.element.hidden = true
	case "class":
		for _, c := range strings.Fields(string(val[:min(len(val), 1024)])) {
			a.element.hidden = a.element.hidden || a.reader.css["."+c]
		}
	case "id":
		a.element.hidden = a.element.hidden || len(val) < 256 && a.reader.css["#"+string(val)]
	case "alt", "title":
		if a.alt == "" {
			a.alt = string(val[:min(len(val), maxURL)])
		}
	case "bgcolor":
		a.element.paper = parseColour(string(val))
	case "color":
		a.element.ink = parseColour(string(val))
	case "size":
		if a.tag == atom.Font && strings.TrimSpace(string(val)) == "0" {
			a.element.hidden = true
		}
	case "http-equiv":
		a.refresh = strings.EqualFold(strings.TrimSpace(string(val)), "refresh")
	case "content":
		a.content = string(val[:min(len(val), 2*maxURL)])
	}
}

// link takes an attribute that leads somewhere.
func (a *attributes) link(key, val string) {
	if len(val) > 1<<20 {
		a.reader.view.Truncated = true
		val = val[:1<<20]
	}
	r := a.reader
	if a.tag == atom.Base && key == "href" {
		if u, err := url.Parse(absolute(val[:min(len(val), maxURL)])); err == nil && r.base == nil {
			r.base = u
		}
	}
	if key == "srcset" {
		for _, c := range strings.Split(val[:min(len(val), 8*maxURL)], ",") {
			c, _, _ = strings.Cut(strings.TrimSpace(c), " ")
			a.add(key, c)
		}
		return
	}
	a.add(key, val)
}

// add records a link, or opens one whose words follow.
func (a *attributes) add(key, ref string) {
	target, ok := resolve(ref, a.reader.base)
	if !ok {
		return
	}
	if a.tag == atom.A && (key == "href" || key == "xlink:href") {
		a.reader.endAnchor()
		a.reader.anchor = &Link{URL: target, Where: "a href"}
		return
	}
	a.reader.view.addLinks([]Link{{URL: target, Where: a.name[:min(len(a.name), 20)] + " " + key}})
	if a.tag == atom.Img && key == "src" {
		a.img = target
	}
}

// finish does what needs all attributes.
func (a *attributes) finish() {
	r := a.reader
	if a.refresh {
		if n := strings.Index(strings.ToLower(a.content), "url="); n >= 0 {
			a.add("refresh", strings.Trim(a.content[n+4:], " '\""))
		}
	}
	if a.alt == "" || a.element.hidden || a.tag != atom.Img && a.tag != atom.Area && a.tag != atom.Input {
		return
	}
	if r.anchor != nil && a.tag == atom.Img {
		r.words.gap = true
		r.words.add(a.alt)
	}
	if n := len(r.view.Links); n > 0 && a.img != "" && r.view.Links[n-1].URL == a.img {
		r.view.Links[n-1].Text = a.alt
	}
}

// style takes a style attribute.
func (a *attributes) style(s string) {
	s = cssText(s)
	if hides(s) {
		a.element.hidden = true
	}
	for _, d := range strings.Split(s, ";") {
		key, val, _ := strings.Cut(d, ":")
		switch strings.TrimSpace(key) {
		case "color":
			a.element.ink = parseColour(val)
		case "background-color", "background":
			a.element.paper = parseColour(val)
		case "display":
			if strings.Contains(val, "none") {
				a.element.hidden = true
			}
		}
	}
	a.reader.cssLinks(s)
}

// cssText is a style in lower case, without comments, at most 64 KiB.
func cssText(s string) string {
	s = s[:min(len(s), 64<<10)]
	if !strings.Contains(s, "/*") {
		return strings.ToLower(s)
	}
	var b strings.Builder
	for s != "" {
		before, after, ok := strings.Cut(s, "/*")
		b.WriteString(before)
		if !ok {
			break
		}
		_, s, _ = strings.Cut(after, "*/")
	}
	return strings.ToLower(b.String())
}

// hides reports whether declarations make an element's text invisible.
func hides(s string) bool {
	for _, d := range strings.Split(s, ";") {
		key, val, ok := strings.Cut(d, ":")
		if !ok {
			continue
		}
		key, val = strings.TrimSpace(key), strings.TrimSpace(strings.Replace(val, "!important", "", 1))
		switch key {
		case "display":
			if val == "none" {
				return true
			}
		case "visibility":
			if val == "hidden" || val == "collapse" {
				return true
			}
		case "opacity", "font-size", "max-height", "max-width":
			if zero(val) {
				return true
			}
		case "mso-hide":
			if val == "all" {
				return true
			}
		case "text-indent", "left", "top", "margin-left":
			if strings.HasPrefix(val, "-9") && len(val) >= 6 {
				return true
			}
		case "color":
			if val == "transparent" {
				return true
			}
		}
	}
	return false
}

// zero reports whether a length is nothing, or less than a pixel.
func zero(v string) bool {
	v = strings.TrimRight(v, "pxtem%r ")
	return v == "0" || v == "0.0" || v == "0.00" || v == ".0" || v == "0.1"
}

// styleSheet remembers which classes, ids and elements a style sheet hides, outside of media queries, and its URLs.
func (r *htmlReader) styleSheet(s string) {
	r.view.Truncated = r.view.Truncated || len(s) > 64<<10
	s = cssText(s)
	r.cssLinks(s)
	for n := 0; n < 1000; n++ {
		selector, rest, ok := strings.Cut(s, "{")
		if !ok {
			return
		}
		selector = strings.TrimSpace(selector)
		if strings.HasPrefix(selector, "@") && !strings.HasPrefix(selector, "@font-face") {
			s = skipBlock(rest)
			continue
		}
		var body string
		body, s, _ = strings.Cut(rest, "}")
		if !hides(body) {
			continue
		}
		for _, one := range strings.Split(selector, ",") {
			one = strings.TrimSpace(one)
			if i := strings.LastIndexAny(one, ".#"); i >= 0 {
				one = one[i:]
			}
			if one != "" && len(one) < 256 && !strings.ContainsAny(one, " >:[*") && len(r.css) < 1000 {
				r.css[one] = true
			}
		}
	}
}

// skipBlock returns what follows the block whose "{" was just read.
func skipBlock(s string) string {
	depth := 1
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return s[i+1:]
			}
		}
	}
	return ""
}

// cssLinks finds url(...) and @import "...".
func (r *htmlReader) cssLinks(s string) {
	for _, open := range [...]string{"url(", "@import"} {
		rest := s
		for n := 0; n < 200; n++ {
			_, after, ok := strings.Cut(rest, open)
			if !ok {
				break
			}
			rest = after
			after = strings.TrimLeft(after[:min(len(after), 2*maxURL)], " '\"")
			end := strings.IndexAny(after, "'\") \t\r\n;")
			if end < 0 {
				continue
			}
			if target, ok := resolve(after[:end], r.base); ok {
				r.view.addLinks([]Link{{URL: target, Where: "css"}})
			}
		}
	}
}

// A colour is red, green, blue; or unknown.
type colour struct {
	r, g, b int
	known   bool
}

var (
	black = colour{0, 0, 0, true}
	white = colour{255, 255, 255, true}
)

// like reports whether nobody could tell the two apart.
func (c colour) like(d colour) bool {
	near := func(a, b int) bool { return a-b < 10 && b-a < 10 }
	return c.known && d.known && near(c.r, d.r) && near(c.g, d.g) && near(c.b, d.b)
}

// parseColour reads #rgb, #rrggbb and the two names that matter.
func parseColour(s string) colour {
	s = strings.ToLower(strings.TrimSpace(strings.Replace(s, "!important", "", 1)))
	s, _, _ = strings.Cut(s, " ")
	switch s {
	case "white":
		return white
	case "black":
		return black
	}
	s = strings.TrimPrefix(s, "#")
	switch len(s) {
	case 3:
		s = string([]byte{s[0], s[0], s[1], s[1], s[2], s[2]})
	case 6:
	default:
		return colour{}
	}
	var v [3]int
	for i := range v {
		hi, lo := hexValue(s[2*i]), hexValue(s[2*i+1])
		if hi < 0 || lo < 0 {
			return colour{}
		}
		v[i] = hi<<4 | lo
	}
	return colour{v[0], v[1], v[2], true}
}
