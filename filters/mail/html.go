package mail

import (
	"bytes"
	"io"
	"net/url"
	"strings"
	"sync"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// An htmlReader turns HTML into what a reader sees and what is hidden. It follows the tokens and keeps a short
// stack of styles: a tree would cost more and can be made too deep to build.
type htmlReader struct {
	view    *View
	shown   spaced
	hidden  spaced
	tokens  int
	open    []opened
	css     map[string]bool // ".class", "#id" and "tag" that a style sheet hides
	base    *url.URL
	anchor  *Link // the link whose words are being read; nil or &link
	link    Link
	words   spaced
	attrs   attributes // of the element that is being read
	input   []byte     // what is read
	scanner htmlScanner
	odd     string // the name of the last element that HTML does not know

	inComment bool // what is read stands in a conditional comment
	comments  int  // conditional comments that were looked into
}

// htmlReaders are used again, for the room that their texts took.
var htmlReaders = sync.Pool{New: func() any { return new(htmlReader) }}

// maxRoom is how much room an htmlReader keeps for the next text.
const maxRoom = 256 << 10

func newHTMLReader(v *View) *htmlReader {
	r := htmlReaders.Get().(*htmlReader)
	r.view = v
	return r
}

// release gives r back. Nothing that it made of a text may stand in its room.
func (r *htmlReader) release() {
	kept := htmlReader{open: r.open[:0]}
	if cap(r.scanner.text) <= maxRoom {
		kept.scanner.text = r.scanner.text[:0]
	}
	for _, s := range [...]struct{ to, from *spaced }{{&kept.shown, &r.shown}, {&kept.hidden, &r.hidden}, {&kept.words, &r.words}} {
		if cap(s.from.buf) <= maxRoom {
			s.to.buf = s.from.buf[:0]
		}
	}
	if cap(r.input) <= maxRoom {
		kept.input = r.input[:0]
	}
	clear(r.open)
	*r = kept
	htmlReaders.Put(r)
}

// An opened is an element that is open, with the style that its content has.
type opened struct {
	tag    atom.Atom
	hidden bool
	ink    colour
	paper  colour
	name   string
}

// A spaced collects text and folds blanks as HTML does.
type spaced struct {
	buf []byte
	gap bool
}

// blanks are what HTML folds; the first octet of a no-break space is among them.
var blanks = [256]bool{' ': true, '\t': true, '\r': true, '\n': true, '\f': true, 0xC2: true}

func (s *spaced) add(text []byte) {
	for i := 0; i < len(text); {
		if size := blankAt(text[i:]); size > 0 {
			s.gap = true
			i += size
			continue
		}
		start := i
		for i++; i < len(text) && (!blanks[text[i]] || blankAt(text[i:]) == 0); i++ {
		}
		if s.gap && len(s.buf) > 0 {
			s.buf = append(s.buf, ' ')
		}
		s.gap = false
		s.buf = append(s.buf, text[start:i]...)
	}
}

// blankAt is the length of the blank that begins b, 0 if none does.
func blankAt(b []byte) int {
	switch {
	case !blanks[b[0]]:
		return 0
	case b[0] != 0xC2:
		return 1
	case len(b) > 1 && b[1] == 0xA0:
		return 2
	}
	return 0
}

// newline begins a new line, unless one has just begun.
func (s *spaced) newline() {
	s.gap = false
	if n := len(s.buf); n > 0 && s.buf[n-1] != '\n' {
		s.buf = append(s.buf, '\n')
	}
}

func (s *spaced) String() string { return string(bytes.TrimSpace(s.buf)) }

// readHTML fills v from HTML.
func (v *View) readHTML(text string) {
	r := newHTMLReader(v)
	r.open = append(r.open, opened{ink: black, paper: white})
	r.input = append(r.input[:0], text...)
	r.scan(r.input)
	r.endAnchor()
	v.Text, v.Hidden = r.shown.String(), r.hidden.String()
	r.release()
}

// run reads tokens up to the bound.
func (r *htmlReader) run(text io.Reader) {
	z := html.NewTokenizer(text)
	z.SetMaxBuf(maxViewed)
	for ; ; r.tokens++ {
		if r.tokens >= maxTokens {
			r.view.unread()
			return
		}
		switch z.Next() {
		case html.ErrorToken:
			return
		case html.TextToken:
			r.text(z.Text())
		case html.StartTagToken:
			r.start(z, false)
		case html.SelfClosingTagToken:
			r.start(z, true)
		case html.EndTagToken:
			name, _ := z.TagName()
			r.end(atom.Lookup(name), name)
		case html.CommentToken:
			r.conditional(z.Text())
		}
	}
}

func (r *htmlReader) top() *opened { return &r.open[len(r.open)-1] }

// text adds text where it belongs.
func (r *htmlReader) text(s []byte) {
	top := r.top()
	switch top.tag {
	case atom.Style:
		r.styleSheet(oneNewline(s))
		return
	case atom.Script, atom.Iframe, atom.Noembed, atom.Noframes, atom.Template, atom.Title:
		r.hidden.add(s)
		r.textLinks(s, "script")
		return
	}
	if r.anchor != nil && r.inComment {
		r.words.add(s)
	}
	if r.inComment || top.hidden || top.ink.like(top.paper) {
		if len(bytes.TrimSpace(s)) > 0 {
			r.hidden.gap = true
			r.hidden.add(s)
		}
		if r.anchor == nil {
			r.textLinks(s, "hidden")
		}
		return
	}
	r.shown.add(s)
	if r.anchor != nil {
		r.words.add(s)
	} else {
		r.textLinks(s, "")
	}
}

// textLinks adds the links of running text, and says where they were found if where is not empty.
func (r *htmlReader) textLinks(s []byte, where string) {
	if !mayLink(s) {
		return
	}
	list := textLinks(nil, string(s))
	for i := range list {
		if where != "" {
			list[i].Where = where
		}
	}
	r.view.addLinks(list)
}

// start reads a start tag.
func (r *htmlReader) start(z *html.Tokenizer, closed bool) {
	name, more := z.TagName()
	r.begin(name)
	for n := 0; more && n < 256; n++ {
		var key, val []byte
		key, val, more = z.TagAttr()
		r.tokens++
		r.attrs.read(key, val)
	}
	r.opened(closed)
}

// begin takes the name of a start tag, whose attributes follow.
func (r *htmlReader) begin(name []byte) {
	tag := atom.Lookup(name)
	a, top := &r.attrs, r.top()
	*a = attributes{reader: r, tag: tag, name: tag.String(), element: opened{tag: tag, hidden: top.hidden, ink: top.ink, paper: top.paper}}
	if tag == 0 {
		if r.odd != string(name) {
			r.odd = string(name)
		}
		a.name, a.element.name = r.odd, r.odd
		if len(name) > 64 {
			a.element.name = string(name[:64])
		}
	}
	if r.css[a.name] {
		a.element.hidden = true
	}
}

// opened takes the end of a start tag.
func (r *htmlReader) opened(closed bool) {
	a := &r.attrs
	a.finish()
	if breaks(a.tag) {
		r.shown.newline()
		if r.anchor != nil {
			r.words.gap = true
		}
	}
	if closed && a.element.name == "" || void(a.tag) {
		return
	}
	if len(r.open) < maxOpen {
		r.open = append(r.open, a.element)
	} else {
		r.view.Truncated = true
	}
}

// end closes the nearest open element of that name, and what is open inside it.
func (r *htmlReader) end(tag atom.Atom, name []byte) {
	if tag == atom.A {
		r.endAnchor()
	}
	if breaks(tag) {
		r.shown.newline()
	}
	for i := len(r.open) - 1; i > 0; i-- {
		if o := &r.open[i]; o.tag == tag && (tag != 0 || o.name == string(name)) {
			r.open = r.open[:i]
			return
		}
		if len(r.open)-i > 64 {
			return // an end tag of nothing near: it must not cost a walk through all that is open
		}
	}
}

func (r *htmlReader) endAnchor() {
	if r.anchor == nil {
		return
	}
	text := bytes.TrimSpace(r.words.buf)
	r.anchor.Text = strings.ToValidUTF8(string(text[:min(len(text), maxURL)]), "")
	r.view.addLinks([]Link{*r.anchor})
	r.anchor, r.words = nil, spaced{buf: r.words.buf[:0]}
}

// conditional looks into a comment that Outlook shows.
func (r *htmlReader) conditional(s []byte) {
	s = bytes.TrimSpace(s)
	shown := bytes.HasPrefix(s, []byte("[if"))
	if len(r.hidden.buf) < maxShown && !shown {
		r.hidden.gap = true
		r.hidden.add(s[:min(len(s), maxShown)])
	}
	if !shown || r.inComment {
		return
	}
	if r.comments++; r.comments > maxComment {
		r.view.unread()
		return
	}
	_, inner, ok := bytes.Cut(s, []byte(">"))
	if !ok {
		return
	}
	links := len(r.view.Links)
	sub := newHTMLReader(r.view)
	sub.css, sub.base, sub.tokens, sub.inComment = r.css, r.base, r.tokens, true
	sub.open = append(sub.open, opened{hidden: true, ink: black, paper: white})
	sub.scan(bytes.TrimSuffix(inner, []byte("<![endif]")))
	sub.endAnchor()
	r.tokens, r.css = sub.tokens, sub.css
	for i := links; i < len(r.view.Links); i++ {
		r.view.Links[i].Where = "comment"
	}
	r.hidden.gap = true
	r.hidden.add(sub.hidden.buf)
	sub.release()
}

// breaks reports whether an element begins a line of its own.
func breaks(tag atom.Atom) bool {
	switch tag {
	case atom.P, atom.Div, atom.Br, atom.Tr, atom.Table, atom.Li, atom.Ul, atom.Ol, atom.H1, atom.H2, atom.H3, atom.H4,
		atom.H5, atom.H6, atom.Blockquote, atom.Pre, atom.Hr, atom.Center, atom.Td, atom.Th, atom.Dd, atom.Dt, atom.Section,
		atom.Article, atom.Header, atom.Footer, atom.Form, atom.Body, atom.Address, atom.Option:
		return true
	}
	return false
}

// void reports whether an element has no content (HTML section 13.1.2).
func void(tag atom.Atom) bool {
	switch tag {
	case atom.Area, atom.Base, atom.Br, atom.Col, atom.Embed, atom.Hr, atom.Img, atom.Input, atom.Link, atom.Meta,
		atom.Param, atom.Source, atom.Track, atom.Wbr, atom.Frame, atom.Basefont, atom.Bgsound:
		return true
	}
	return false
}
