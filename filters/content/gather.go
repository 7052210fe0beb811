package content

import (
	"strings"
	"unicode/utf8"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/rules"
)

// The bounds of what rules are shown of one message.
const (
	maxURLs    = 300
	maxFiles   = 200
	maxFields  = 20 // of one name
	maxHTML    = 5  // HTML parts
	maxAuthors = 5
)

// gathered is what rules look into.
type gathered struct {
	m        *mail.Mail
	texts    []rules.Text
	from     []origin // of each text
	body     string
	subject  string
	to       []mail.Mailbox
	answers  bool // the message says which one it answers
	html     []*mail.Part
	seen     map[string]bool // URLs
	plain    bool            // there is a text part that is not HTML
	more     string          // what rules were not shown whole; empty if nothing
	words    int
	language string
}

// An origin says where a text stands in the message.
type origin struct {
	where string     // empty: in part
	part  *mail.Part // the path of a part is made when it is asked for
	span  mail.Span  // empty: nowhere in particular
	what  string     // what proves a sign; empty: the text itself
}

// evidence is where a text stands, as it is told.
func (o *origin) evidence() filters.Evidence {
	e := filters.Evidence{Where: o.where, What: mail.Printable(o.what, 200)}
	if o.part != nil {
		e.Where = "part " + o.part.Path()
		if o.part.Path() == "" && o.where == "" {
			e.Where = "message"
		}
	}
	if o.span != (mail.Span{}) {
		e.At = &[2]int64{o.span.Start, o.span.End - o.span.Start}
	}
	return e
}

// A field is a field that rules look into, and the place that it is.
type field struct{ name, place string }

// gather collects the texts of a message, for rules that look into the given fields.
func (g *gathered) gather(m *mail.Mail, headers []field) {
	g.m, g.body, g.subject = m, m.Text(), m.Subject()
	from := origin{where: "header Subject"}
	if list := m.Fields("Subject"); len(list) > 0 {
		from.span = list[0].Span
	}
	g.add("subject", g.subject, from)
	for i, a := range m.Authors() {
		if i == maxAuthors {
			break
		}
		g.add("from", a.Name+" <"+a.Address+">", origin{where: "header From", span: a.Span})
	}
	g.add("body", g.body, origin{where: "text"})
	if n := len(g.body); n > rules.MostOfAText-utf8.UTFMax { // Text is cut there, between letters
		g.more = "text"
	}
	g.parts()
	g.links()
	for _, h := range headers {
		for i, f := range m.Fields(h.name) {
			if i == maxFields {
				break
			}
			g.add(h.place, mail.DecodeWords(mail.Unfold(f.Value)), origin{where: "header " + f.Name, span: f.Span})
		}
	}
	g.to, g.answers = m.Addresses("To"), g.saysAnswered()
	g.words = countWords(g.body)
	g.language = language(g.body)
	g.signs()
}

// forget keeps nothing of the message but the memory that it took.
func (g *gathered) forget() {
	clear(g.texts)
	clear(g.from)
	clear(g.html)
	clear(g.seen)
	*g = gathered{texts: g.texts[:0], from: g.from[:0], html: g.html[:0], seen: g.seen}
}

func (g *gathered) add(place, text string, from origin) {
	if strings.TrimSpace(text) == "" {
		return
	}
	g.texts = append(g.texts, rules.Text{Place: place, Content: text})
	g.from = append(g.from, from)
}

// parts adds what stands in parts and what they are called.
func (g *gathered) parts() {
	files := 0
	for p := range g.m.Parts() {
		where := origin{part: p}
		g.add("type", p.Type, where)
		if p.Attachment() && files < maxFiles {
			for _, name := range p.Names() {
				files++
				g.add("file", name, where)
			}
			if p.Disposition() == "attachment" {
				continue
			}
		}
		v := p.View()
		if v == nil {
			continue
		}
		if !v.HTML {
			g.plain = g.plain || p.Role == mail.RolePart && strings.TrimSpace(v.Text) != ""
			continue
		}
		if len(g.html) == maxHTML || len(v.Source) > rules.MostOfAText {
			g.more = "markup"
		}
		if len(g.html) < maxHTML {
			g.html = append(g.html, p)
			g.add("html", v.Source, where)
			g.add("hidden", v.Hidden, where)
		}
	}
}

// links adds where the message leads and what readers see of it.
func (g *gathered) links() {
	for _, l := range g.m.Links() {
		if g.seen[l.URL] {
			continue
		}
		if len(g.seen) == maxURLs {
			g.more = "links"
			break
		}
		g.seen[l.URL] = true
		g.add("url", l.URL, origin{where: "link"})
		if l.Where == "a href" {
			g.add("link", l.Text, origin{where: "link"})
		}
	}
}
