package bayes

import (
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"gatepost/filters/mail"
)

// shape adds sizes and proportions of the visible text.
func (r *reader) shape(m *mail.Message, text string) {
	text = limit(text, maxText)
	var octets [utf8.RuneSelf]int // how often each of ASCII stands there
	var other, wide int
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			octets[c]++
			i++
			continue
		}
		ru, n := utf8.DecodeRuneInString(text[i:])
		if classOf(ru) == ideo {
			wide++
		} else {
			other++
		}
		i += n
	}
	upper, lower, digit, lines := sum(octets['A':'Z'+1]), sum(octets['a':'z'+1]), sum(octets['0':'9'+1]), octets['\n']
	r.count(inShape, "text", len(text))
	r.count(inShape, "lines", lines)
	all := max(upper+lower+digit+other+wide, 1)
	r.share(inShape, "capitals", upper, max(upper+lower, 1))
	r.share(inShape, "digits", digit, all)
	r.share(inShape, "foreign", other, all)
	r.share(inShape, "ideographs", wide, all)
	subject := m.Subject()
	r.count(inShape, "subject", len(subject))
	if strings.ToUpper(subject) == subject && strings.ToLower(subject) != subject {
		r.pair(inShape, "subject", "capitals")
	}
}

// sum is that of numbers.
func sum(numbers []int) (n int) {
	for _, v := range numbers {
		n += v
	}
	return n
}

// share adds a token of a proportion: none, or a power of two below one.
func (r *reader) share(k place, name string, part, of int) {
	if part == 0 {
		r.pair(k, name, "none")
		return
	}
	r.count(k, name+" one in", of/part)
}

// parts adds what the message is made of.
func (r *reader) parts(m *mail.Message) {
	r.pair(inPart, "root", limit(m.Root.Type, 64))
	n := 0
	for p := range m.Parts() {
		if n++; n > 50 {
			break
		}
		r.pair(inPart, "type", limit(p.Type, 64))
		v := p.View()
		if v == nil || p.Disposition() == "attachment" {
			r.file(p)
			continue
		}
		r.pair(inPart, p.Encoding(), limit(p.Type, 64))
		r.pair(inPart, "charset", limit(v.Charset, 64))
		if v.HTML {
			r.markup(v)
		}
	}
	r.count(inPart, "parts", n)
}

// file adds an attachment.
func (r *reader) file(p *mail.Part) {
	if name := p.Name(); name != "" {
		r.text(inFile, limit(name, 256))
		r.pair(inFile, "extension", limit(path.Ext(name), 16))
	}
	r.count(inFile, limit(p.Type, 64), int(p.Body.End-p.Body.Start)>>10)
}

// markup adds the elements of an HTML text and the words that it hides.
func (r *reader) markup(v *mail.View) {
	s := limit(v.Source, maxSource)
	tags := map[string]int{}
	for {
		n := strings.IndexByte(s, '<')
		if n < 0 || n+1 >= len(s) {
			break
		}
		s = s[n+1:]
		end := 0
		for end < len(s) && end < 12 && (s[end]|0x20 >= 'a' && s[end]|0x20 <= 'z' || s[end] >= '1' && s[end] <= '6') {
			end++
		}
		if end > 0 {
			tags[s[:end]]++
		}
	}
	var counts [16]int
	for _, tag := range slices.Sorted(maps.Keys(tags)) {
		name, n := strings.ToLower(tag), tags[tag]
		if i := strings.Index(elements, " "+name+" "); i >= 0 {
			counts[strings.Count(elements[:i], " ")] += n
		}
		r.word(inMarkup, name)
	}
	for i, name := range strings.Fields(elements) {
		if counts[i] > 0 {
			r.count(inMarkup, name, counts[i])
		}
	}
	r.text(inHidden, limit(v.Hidden, maxHiddenTxt))
	r.count(inMarkup, "hidden", len(v.Hidden))
	r.count(inMarkup, "markup to text", len(v.Source)/max(len(v.Text), 1))
}

// elements are those whose number says something.
const elements = " a img table td p br font div span style script form input center b "

// links adds where the message leads.
func (r *reader) links(m *mail.Message) {
	links := m.Links()
	r.count(inHost, "links", len(links))
	author := ""
	if a := m.Authors(); len(a) > 0 {
		author = mail.OrganizationalDomain(a[0].Domain)
	}
	hosts := map[string]bool{}
	for _, l := range links[:min(len(links), maxLinks)] {
		u, err := url.Parse(l.URL)
		if err != nil {
			r.pair(inHost, "link", "malformed")
			continue
		}
		r.pair(inHost, "scheme", limit(u.Scheme, 16))
		host := strings.ToLower(u.Hostname())
		if host == "" {
			continue
		}
		if u.User != nil {
			r.pair(inHost, "link", "user")
		}
		if u.Port() != "" {
			r.pair(inHost, "port", limit(u.Port(), 8))
		}
		if !hosts[host] {
			hosts[host] = true
			org := r.domain(inHost, host)
			r.count(inHost, "labels", strings.Count(host, "."))
			if org == author {
				r.pair(inHost, "link", "to the author")
			} else {
				r.pair(inHost, "link", "elsewhere")
			}
		}
		r.text(inPath, limit(u.Path, 256))
		r.count(inPath, "query", len(u.RawQuery))
		if l.Where != "text" && l.Where != "bare" {
			r.pair(inPath, "in", l.Where)
		}
	}
	r.count(inHost, "hosts", len(hosts))
}

// runs adds each six octets that follow each other in the beginnings of the first two texts as they were written, markup
// and all, and in the fields that the author's program wrote. They know the hand of a program that no word gives away,
// and words that are split or misspelt. Addresses are left out: they would tell whose mail was learnt.
func (r *reader) runs(m *mail.Message) {
	r.source = r.source[:0]
	for _, name := range [...]string{"From", "Reply-To", "Subject", "X-Mailer", "User-Agent", "Content-Type", "List-Unsubscribe", "Sender"} {
		if v := m.Get(name); v != "" {
			r.squeezed(name + ":")
			r.squeezed(limit(v, maxRunField))
		}
	}
	n := 0
	for p := range m.Parts() {
		v := p.View()
		if v == nil {
			continue
		}
		r.squeezed(limit(v.Source, maxRunText))
		if n++; n == 2 {
			break
		}
	}
	begin, group := start(r.seed, inSource), inSource.group()
	for i := 0; i+run <= len(r.source) && len(r.list) < r.most; i++ {
		s := r.source[i : i+run]
		h := begin
		for _, c := range s {
			h = (h ^ uint64(c)) * fnvPrime
		}
		if v := tokenOf(h, group); r.wanted == nil {
			r.add(v)
		} else {
			r.want(v, inSource, string(s), "")
		}
	}
}

const (
	run         = 6
	maxRunField = 200     // octets of one field
	maxRunText  = 2 << 10 // octets of one text
)

// squeezed adds the words of s to the source: lower case, digits alike, one blank between them, and a sign in place of
// each that is an address.
func (r *reader) squeezed(s string) {
	out := slices.Grow(r.source, len(s)+1)
	for w := range strings.FieldsSeq(s) {
		if strings.IndexByte(w, '@') >= 0 {
			w = "@"
		}
		for i := 0; i < len(w); i++ {
			c := w[i]
			if c < utf8.RuneSelf {
				c = folded[c]
			}
			out = append(out, c)
		}
		out = append(out, ' ')
	}
	r.source = out
}
