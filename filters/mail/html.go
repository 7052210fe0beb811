package mail

import (
	"net/url"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// An htmlReader turns HTML into what a reader sees and what is hidden. It follows the tokens and keeps a short
// stack of styles: a tree would cost more and can be made too deep to build.
type htmlReader struct {
	view   *View
	shown  spaced
	hidden spaced
	tokens int
	open   []opened
	css    map[string]bool // ".class", "#id" and "tag" that a style sheet hides
	base   *url.URL
	anchor *Link // the link whose words are being read
	words  spaced

	inComment bool // what is read stands in a conditional comment
	comments  int  // conditional comments that were looked into
}

// An opened is an element that is open, with the style that its content has.
type opened struct {
	tag    atom.Atom
	name   string
	hidden bool
	ink    colour
	paper  colour
}

// A spaced collects text and folds blanks as HTML does.
type spaced struct {
	strings.Builder
	gap bool
}

func (s *spaced) add(text string) {
	for text != "" {
		n := strings.IndexAny(text, " \t\r\n\f\u00a0")
		if n < 0 {
			n = len(text)
		}
		if n > 0 {
			if s.gap && s.Len() > 0 {
				s.WriteByte(' ')
			}
			s.gap = false
			s.WriteString(text[:n])
			text = text[n:]
			continue
		}
		s.gap = true
		if text[0] == 0xC2 {
			text = text[2:]
		} else {
			text = text[1:]
		}
	}
}

// newline begins a new line, unless one has just begun.
func (s *spaced) newline() {
	s.gap = false
	if str := s.String(); str != "" && str[len(str)-1] != '\n' {
		s.WriteByte('\n')
	}
}

// readHTML fills v from HTML.
func (v *View) readHTML(text string) {
	r := &htmlReader{view: v, css: map[string]bool{}}
	r.open = append(r.open, opened{ink: black, paper: white})
	r.run(text)
	r.endAnchor()
	v.Text, v.Hidden = strings.TrimSpace(r.shown.String()), strings.TrimSpace(r.hidden.String())
}

// run reads tokens up to the bound.
func (r *htmlReader) run(text string) {
	z := html.NewTokenizer(strings.NewReader(text))
	z.SetMaxBuf(maxViewed)
	for ; ; r.tokens++ {
		if r.tokens >= maxTokens {
			r.view.Truncated = true
			return
		}
		switch z.Next() {
		case html.ErrorToken:
			return
		case html.TextToken:
			r.text(string(z.Text()))
		case html.StartTagToken:
			r.start(z, false)
		case html.SelfClosingTagToken:
			r.start(z, true)
		case html.EndTagToken:
			name, _ := z.TagName()
			r.end(atom.Lookup(name), name)
		case html.CommentToken:
			r.conditional(string(z.Text()))
		}
	}
}

func (r *htmlReader) top() *opened { return &r.open[len(r.open)-1] }

// text adds text where it belongs.
func (r *htmlReader) text(s string) {
	top := r.top()
	switch top.tag {
	case atom.Style:
		r.styleSheet(s)
		return
	case atom.Script, atom.Iframe, atom.Noembed, atom.Noframes, atom.Template, atom.Title:
		r.hidden.add(s)
		r.view.addLinks(r.inside(textLinks(nil, s), "script"))
		return
	}
	if r.anchor != nil && r.inComment {
		r.words.add(s)
	}
	if r.inComment || top.hidden || top.ink.like(top.paper) {
		if strings.TrimSpace(s) != "" {
			r.hidden.gap = true
			r.hidden.add(s)
		}
		if r.anchor == nil {
			r.view.addLinks(r.inside(textLinks(nil, s), "hidden"))
		}
		return
	}
	r.shown.add(s)
	if r.anchor != nil {
		r.words.add(s)
	} else {
		r.view.addLinks(textLinks(nil, s))
	}
}

// inside says where links were found.
func (r *htmlReader) inside(list []Link, where string) []Link {
	for i := range list {
		list[i].Where = where
	}
	return list
}

// start reads a start tag.
func (r *htmlReader) start(z *html.Tokenizer, closed bool) {
	name, more := z.TagName()
	tag := atom.Lookup(name)
	e := opened{tag: tag, hidden: r.top().hidden, ink: r.top().ink, paper: r.top().paper}
	if tag == 0 {
		e.name = string(name[:min(len(name), 64)])
	}
	if r.css[string(name)] {
		e.hidden = true
	}
	a := attributes{reader: r, tag: tag, element: &e, name: string(name)}
	for n := 0; more && n < 256; n++ {
		var key, val []byte
		key, val, more = z.TagAttr()
		r.tokens++
		a.read(string(key), val)
	}
	a.finish()
	if breaks(tag) {
		r.shown.newline()
		if r.anchor != nil {
			r.words.gap = true
		}
	}
	if closed && e.name == "" || void(tag) {
		return
	}
	if len(r.open) < maxOpen {
		r.open = append(r.open, e)
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
	text := strings.TrimSpace(r.words.String())
	r.anchor.Text = strings.ToValidUTF8(text[:min(len(text), maxURL)], "")
	r.view.addLinks([]Link{*r.anchor})
	r.anchor, r.words = nil, spaced{}
}

// conditional looks into a comment that Outlook shows.
func (r *htmlReader) conditional(s string) {
	s = strings.TrimSpace(s)
	if r.hidden.Len() < maxShown && !strings.HasPrefix(s, "[if") {
		r.hidden.gap = true
		r.hidden.add(s[:min(len(s), maxShown)])
	}
	if !strings.HasPrefix(s, "[if") || r.inComment {
		return
	}
	if r.comments++; r.comments > maxComment {
		r.view.Truncated = true
		return
	}
	_, inner, ok := strings.Cut(s, ">")
	if !ok {
		return
	}
	links := len(r.view.Links)
	sub := &htmlReader{view: r.view, css: r.css, base: r.base, tokens: r.tokens, inComment: true}
	sub.open = []opened{{hidden: true, ink: black, paper: white}}
	sub.run(strings.TrimSuffix(inner, "<![endif]"))
	sub.endAnchor()
	r.tokens = sub.tokens
	for i := links; i < len(r.view.Links); i++ {
		r.view.Links[i].Where = "comment"
	}
	r.hidden.gap = true
	r.hidden.add(sub.hidden.String())
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
