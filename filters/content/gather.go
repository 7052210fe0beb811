package content

import (
	"strings"

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
	html     []*mail.Part
	plain    bool // there is a text part that is not HTML
	words    int
	language string
}

// An origin says where a text stands in the message.
type origin struct {
	where string
	at    *[2]int64
	what  string // what proves a sign; empty: the text itself
}

// gather collects the texts of a message, for rules that look into the given fields.
func gather(m *mail.Mail, headers []string) *gathered {
	g := &gathered{m: m, body: m.Text()}
	g.fields("subject", "Subject", m.Subject())
	for i, a := range m.Authors() {
		if i == maxAuthors {
			break
		}
		g.add("from", a.Name+" <"+a.Address+">", origin{where: "header From", at: at(a.Span)})
	}
	g.add("body", g.body, origin{where: "text"})
	g.parts()
	g.links()
	for _, name := range headers {
		for i, f := range m.Fields(name) {
			if i == maxFields {
				break
			}
			g.add("header:"+name, mail.DecodeWords(mail.Unfold(f.Value)), origin{where: "header " + f.Name, at: at(f.Span)})
		}
	}
	g.words = countWords(g.body)
	g.language = language(g.body)
	g.signs()
	return g
}

func at(s mail.Span) *[2]int64 { return &[2]int64{s.Start, s.End - s.Start} }

func (g *gathered) add(place, text string, from origin) {
	if strings.TrimSpace(text) == "" {
		return
	}
	g.texts = append(g.texts, rules.Text{Place: place, Content: text})
	g.from = append(g.from, from)
}

// fields adds a text that stands in a field of the header.
func (g *gathered) fields(place, name, text string) {
	from := origin{where: "header " + name}
	if list := g.m.Fields(name); len(list) > 0 {
		from.at = at(list[0].Span)
	}
	g.add(place, text, from)
}

// parts adds what stands in parts and what they are called.
func (g *gathered) parts() {
	files := 0
	for p := range g.m.Parts() {
		where := "part " + p.Path()
		if p.Path() == "" {
			where = "message"
		}
		g.add("type", p.Type, origin{where: where})
		if p.Attachment() && files < maxFiles {
			for _, name := range p.Names() {
				files++
				g.add("file", name, origin{where: where})
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
		if len(g.html) < maxHTML {
			g.html = append(g.html, p)
			g.add("html", v.Source, origin{where: where})
			g.add("hidden", v.Hidden, origin{where: where})
		}
	}
}

// links adds where the message leads and what readers see of it.
func (g *gathered) links() {
	seen := map[string]bool{}
	for _, l := range g.m.Links() {
		if len(seen) == maxURLs {
			break
		}
		if seen[l.URL] {
			continue
		}
		seen[l.URL] = true
		g.add("url", l.URL, origin{where: "link"})
		if l.Where == "a href" {
			g.add("link", l.Text, origin{where: "link"})
		}
	}
}
