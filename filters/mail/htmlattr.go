package mail

import (
	"bytes"
	"net/url"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html/atom"
)

// attributes reads those of one element.
type attributes struct {
	reader  *htmlReader
	tag     atom.Atom
	name    string
	element opened
	alt     string
	img     string
	refresh bool
	content string
}

// read takes one attribute; its value is already unescaped, and may be written to.
func (a *attributes) read(key, val []byte) {
	switch string(key) {
	case "href", "xlink:href", "src", "action", "formaction", "background", "data", "poster", "srcset", "cite", "longdesc", "lowsrc", "dynsrc", "ping", "codebase", "classid", "manifest", "icon":
		a.link(atom.String(key), string(val))
	case "style":
		a.style(val)
	case "hidden":
		a.element.hidden = true
	case "class", "id":
		if len(a.reader.css) > 0 {
			a.selected(string(key) == "class", val)
		}
	case "alt", "title":
		if a.alt == "" {
			a.alt = string(val[:min(len(val), maxURL)])
		}
	case "bgcolor":
		a.element.paper = parseColour(string(val))
	case "color":
		a.element.ink = parseColour(string(val))
	case "size":
		if a.tag == atom.Font && string(bytes.TrimSpace(val)) == "0" {
			a.element.hidden = true
		}
	case "http-equiv":
		a.refresh = bytes.EqualFold(bytes.TrimSpace(val), []byte("refresh"))
	case "content":
		a.content = string(val[:min(len(val), 2*maxURL)])
	}
}

// selected hides an element of whose classes or id a style sheet says so.
func (a *attributes) selected(class bool, val []byte) {
	if !class {
		a.element.hidden = a.element.hidden || len(val) < 256 && a.reader.css["#"+string(val)]
		return
	}
	for c := range bytes.FieldsSeq(val[:min(len(val), 1024)]) {
		a.element.hidden = a.element.hidden || a.reader.css["."+string(c)]
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
		a.reader.link = Link{URL: target, Where: "a href"}
		a.reader.anchor = &a.reader.link
		return
	}
	where := "img src"
	if a.tag != atom.Img || key != "src" {
		where = a.name[:min(len(a.name), 20)] + " " + key
	}
	a.reader.view.addLinks([]Link{{URL: target, Where: where}})
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
		r.words.add([]byte(a.alt))
	}
	if n := len(r.view.Links); n > 0 && a.img != "" && r.view.Links[n-1].URL == a.img {
		r.view.Links[n-1].Text = a.alt
	}
}

// style takes a style attribute.
func (a *attributes) style(s []byte) {
	s = cssText(s)
	for d := range bytes.SplitSeq(s, []byte(";")) {
		key, val, ok := bytes.Cut(d, []byte(":"))
		key = bytes.TrimSpace(key)
		if ok && hides(key, val) {
			a.element.hidden = true
		}
		switch string(key) {
		case "color":
			a.element.ink = parseColour(string(val))
		case "background-color", "background":
			a.element.paper = parseColour(string(val))
		case "display":
			if bytes.Contains(val, []byte("none")) {
				a.element.hidden = true
			}
		}
	}
	a.reader.cssLinks(s)
}

// cssText is a style in lower case, without comments, at most 64 KiB; written over s if it can be.
func cssText(s []byte) []byte {
	s = s[:min(len(s), 64<<10)]
	if bytes.Contains(s, []byte("/*")) {
		s = withoutComments(s)
	}
	for i, c := range s {
		if c >= utf8.RuneSelf {
			return bytes.ToLower(s)
		}
		if c >= 'A' && c <= 'Z' {
			s[i] = c + 'a' - 'A'
		}
	}
	return s
}

func withoutComments(s []byte) (out []byte) {
	for len(s) > 0 {
		before, after, ok := bytes.Cut(s, []byte("/*"))
		out = append(out, before...)
		if !ok {
			break
		}
		_, s, _ = bytes.Cut(after, []byte("*/"))
	}
	return out
}

// anyHides reports whether one of several declarations makes an element's text invisible.
func anyHides(s []byte) bool {
	for d := range bytes.SplitSeq(s, []byte(";")) {
		if key, val, ok := bytes.Cut(d, []byte(":")); ok && hides(bytes.TrimSpace(key), val) {
			return true
		}
	}
	return false
}

// hides reports whether a declaration makes an element's text invisible.
func hides(key, val []byte) bool {
	switch string(key) {
	case "display", "visibility", "opacity", "font-size", "max-height", "max-width", "mso-hide", "text-indent", "left", "top", "margin-left", "color":
	default:
		return false
	}
	if bytes.IndexByte(val, '!') >= 0 {
		val = bytes.Replace(val, []byte("!important"), nil, 1)
	}
	val = bytes.TrimSpace(val)
	switch string(key) {
	case "display":
		return string(val) == "none"
	case "visibility":
		return string(val) == "hidden" || string(val) == "collapse"
	case "opacity", "font-size", "max-height", "max-width":
		return zero(val)
	case "mso-hide":
		return string(val) == "all"
	case "color":
		return string(val) == "transparent"
	}
	return bytes.HasPrefix(val, []byte("-9")) && len(val) >= 6
}

// zero reports whether a length is nothing, or less than a pixel.
func zero(v []byte) bool {
	switch string(bytes.TrimRight(v, "pxtem%r ")) {
	case "0", "0.0", "0.00", ".0", "0.1":
		return true
	}
	return false
}

// styleSheet remembers which classes, ids and elements a style sheet hides, outside of media queries, and its URLs.
func (r *htmlReader) styleSheet(s []byte) {
	r.view.Truncated = r.view.Truncated || len(s) > 64<<10
	s = cssText(s)
	r.cssLinks(s)
	for n := 0; n < 1000; n++ {
		selector, rest, ok := bytes.Cut(s, []byte("{"))
		if !ok {
			return
		}
		selector = bytes.TrimSpace(selector)
		if bytes.HasPrefix(selector, []byte("@")) && !bytes.HasPrefix(selector, []byte("@font-face")) {
			s = skipBlock(rest)
			continue
		}
		var body []byte
		body, s, _ = bytes.Cut(rest, []byte("}"))
		if anyHides(body) {
			r.hide(selector)
		}
	}
}

// hide remembers what a selector selects, if it is simple.
func (r *htmlReader) hide(selector []byte) {
	for one := range bytes.SplitSeq(selector, []byte(",")) {
		one = bytes.TrimSpace(one)
		if i := bytes.LastIndexAny(one, ".#"); i >= 0 {
			one = one[i:]
		}
		if len(one) > 0 && len(one) < 256 && !bytes.ContainsAny(one, " >:[*") && len(r.css) < 1000 {
			if r.css == nil {
				r.css = map[string]bool{}
			}
			r.css[string(one)] = true
		}
	}
}

// skipBlock returns what follows the block whose "{" was just read.
func skipBlock(s []byte) []byte {
	depth := 1
	for i, c := range s {
		switch c {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return s[i+1:]
			}
		}
	}
	return nil
}

// cssLinks finds url(...) and @import "...".
func (r *htmlReader) cssLinks(s []byte) {
	for _, open := range [...][]byte{cssURL, cssImport} {
		rest := s
		for n := 0; n < 200; n++ {
			_, after, ok := bytes.Cut(rest, open)
			if !ok {
				break
			}
			rest = after
			after = bytes.TrimLeft(after[:min(len(after), 2*maxURL)], " '\"")
			end := bytes.IndexAny(after, "'\") \t\r\n;")
			if end < 0 {
				continue
			}
			if target, ok := resolve(string(after[:end]), r.base); ok {
				r.view.addLinks([]Link{{URL: target, Where: "css"}})
			}
		}
	}
}

var cssURL, cssImport = []byte("url("), []byte("@import")

// A colour is red, green, blue; or unknown.
type colour struct {
	r, g, b uint8
	known   bool
}

var (
	black = colour{0, 0, 0, true}
	white = colour{255, 255, 255, true}
)

// like reports whether nobody could tell the two apart.
func (c colour) like(d colour) bool {
	near := func(a, b uint8) bool { return int(a)-int(b) < 10 && int(b)-int(a) < 10 }
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
	var v [3]uint8
	for i := range v {
		hi, lo := hexValue(s[2*i]), hexValue(s[2*i+1])
		if hi < 0 || lo < 0 {
			return colour{}
		}
		v[i] = uint8(hi<<4 | lo)
	}
	return colour{v[0], v[1], v[2], true}
}
