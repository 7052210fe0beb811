package mail

import (
	"bytes"
	"hash/maphash"
	"math/bits"
	"strings"
	"sync"
)

// The bounds of the text views.
const (
	maxViewed  = 4 << 20   // octets of one text that are looked at
	maxShown   = 256 << 10 // octets of Message.Text
	maxLinks   = 5000      // of one message
	maxHosts   = 1000      // different ones of one message
	maxURL     = 2 << 10   // octets of one URL that are kept
	maxTokens  = 1_000_000 // of one HTML text; honest ones of maxViewed octets have fewer
	maxOpen    = 512       // open elements whose styles are remembered
	maxComment = 10_000    // conditional comments of one HTML text that are looked into; templates make hundreds
)

// A View is a text part as text.
type View struct {
	Text      string // what a reader sees, UTF-8
	Source    string // the text as it was sent, UTF-8: with its markup, if it is HTML
	Hidden    string // text of an HTML part that a reader does not see: styled away, in comments, in scripts
	HTML      bool
	Charset   string // the label that was followed; empty if there is none
	Unknown   bool   // nobody knows the charset, or the bytes are not in it
	Truncated bool   // a bound was reached: there is more
	Unread    bool   // and some of it may be words or links that nobody looked at
	Links     []Link
	Other     []string // the same part by other readings of its encoding, as source text
}

// A Link is one URL, where it stands, and what the reader sees in its place.
type Link struct {
	URL   string // absolute; without blanks and controls that browsers drop; at most 2 KiB
	Text  string // what the reader sees: the words of the link, a picture's alternative text, or the URL itself
	Where string // "text", "bare" (a domain without scheme), "css", "comment", or element and attribute: "a href", "img src"
	Part  *Part
}

// views holds what is made of a part on first use.
type views struct {
	once sync.Once
	view *View
}

// View is the part as text, made on first use; nil if the part is no text.
func (p *Part) View() *View {
	if !p.textual() {
		return nil
	}
	p.views.once.Do(func() { p.views.view = p.makeView() })
	return p.views.view
}

// textual reports whether programs show the part as text.
func (p *Part) textual() bool {
	return strings.HasPrefix(p.Type, "text/") || p.Type == "text" || p.Type == "application/xhtml+xml"
}

func (p *Part) isHTML() bool { return p.Type == "text/html" || p.Type == "application/xhtml+xml" }

func (p *Part) makeView() *View {
	v := &View{HTML: p.isHTML(), Charset: charsetName(p.Param("charset"))}
	for i, r := range p.Decoded() {
		data := r.Data
		if len(data) > maxViewed {
			data = data[:maxViewed]
			v.unread()
		}
		label := v.Charset
		if label == "" && v.HTML {
			label = metaCharset(data)
		}
		text, known := toUTF8(label, data)
		if i > 0 {
			v.Other = append(v.Other, text)
			v.addLinks(textLinks(nil, text))
			continue
		}
		v.Source = text
		v.Unknown = !known || strings.Contains(text, "\uFFFD")
		if v.HTML {
			v.readHTML(text)
		} else {
			v.Text = text
			v.addLinks(textLinks(nil, text))
		}
	}
	for i := range v.Links {
		v.Links[i].Part = p
	}
	return v
}

// unread notes that what stands behind a bound is not looked at.
func (v *View) unread() { v.Truncated, v.Unread = true, true }

// addLinks appends links up to the bound.
func (v *View) addLinks(list []Link) {
	if room := maxLinks - len(v.Links); len(list) > room {
		list = list[:room]
		v.unread()
	}
	v.Links = append(v.Links, list...)
}

// metaCharset is the charset that an HTML text claims within its first 1,024 octets, as mail programs look for it.
func metaCharset(b []byte) string {
	head := bytes.ToLower(b[:min(len(b), 1024)])
	meta := bytes.Index(head, []byte("<meta"))
	if meta < 0 {
		return ""
	}
	_, after, ok := bytes.Cut(head[meta:], []byte("charset="))
	if !ok {
		return ""
	}
	after = bytes.TrimLeft(after, "\"' ")
	n := bytes.IndexAny(after, "\"' ;>/")
	if n < 0 || n > 40 {
		return ""
	}
	label := string(after[:n])
	if strings.HasPrefix(label, "utf-16") || strings.HasPrefix(label, "utf-7") {
		return "" // a text whose own ASCII says so is not in it
	}
	return label
}

// Text is what a reader sees of the whole message: of alternatives the one that programs prefer, of HTML the visible
// words; at most 256 KiB, cut between characters.
func (m *Message) Text() string { return m.text.get(m.readText) }

func (m *Message) readText() string {
	var first [8]string
	list, size := shown(first[:0], 0, m.Root, 0)
	s := ""
	if len(list) == 1 {
		s = list[0]
	} else {
		var b strings.Builder
		b.Grow(size)
		for i, text := range list {
			if i > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(text)
		}
		s = b.String()
	}
	if len(s) > maxShown {
		s = strings.ToValidUTF8(s[:maxShown], "")
	}
	return s
}

// shown appends what programs show of p to a list of texts, and counts the octets of their lines.
func shown(list []string, size int, p *Part, depth int) ([]string, int) {
	if size > maxShown || depth > 2*maxDepth+maxMessages {
		return list, size
	}
	if p.Type == "multipart/alternative" && len(p.Children) > 0 {
		return shown(list, size, preferred(p.Children), depth+1)
	}
	for _, c := range p.Children {
		list, size = shown(list, size, c, depth+1)
	}
	if len(p.Children) > 0 || p.Disposition() == "attachment" {
		return list, size
	}
	if v := p.View(); v != nil && v.Text != "" {
		text := v.Text[:min(len(v.Text), maxShown+utf8Max)]
		if size > 0 {
			size++
		}
		list, size = append(list, text), size+len(text)
	}
	return list, size
}

const utf8Max = 4

// preferred is the alternative that programs show: the last one that holds HTML, else the last with text.
func preferred(list []*Part) *Part {
	for _, want := range []func(*Part) bool{(*Part).holdsHTML, (*Part).textual} {
		for i := len(list) - 1; i >= 0; i-- {
			if want(list[i]) {
				return list[i]
			}
		}
	}
	return list[len(list)-1]
}

// holdsHTML reports whether p or a child of p is HTML to be shown.
func (p *Part) holdsHTML() bool {
	if p.isHTML() {
		return p.Disposition() != "attachment"
	}
	if strings.HasPrefix(p.Type, "multipart/") {
		for _, c := range p.Children {
			if c.isHTML() && c.Disposition() != "attachment" {
				return true
			}
		}
	}
	return false
}

// Links are the URLs of all text parts in all readings, without repetitions: at most 5,000, of at most 1,000 hosts.
func (m *Message) Links() []Link { return m.links.get(m.readLinks).list }

// Unread are the text parts that hold more than was looked at, in order: behind a bound there may be words, and links that
// Links does not have.
func (m *Message) Unread() []*Part { return m.links.get(m.readLinks).unread }

// foundLinks are the links of a message, and the parts that may hold more.
type foundLinks struct {
	list   []Link
	unread []*Part
}

func (m *Message) readLinks() (found foundLinks) {
	total := 0
	for _, p := range m.leaves {
		if v := p.View(); v != nil {
			total += len(v.Links)
		}
	}
	list := newLinkSet(min(total, maxLinks))
	hosts := map[string]bool{}
	for _, p := range m.leaves {
		v := p.View()
		if v == nil {
			continue
		}
		if whole := list.addAll(v.Links, hosts, total > maxHosts); !whole || v.Unread {
			found.unread = append(found.unread, p)
		}
	}
	if total > 0 {
		found.list = list.links
	}
	return found
}

// A linkSet is a list of links without repetitions, with a hash table of where they stand in it. A map would keep each
// link a second time.
type linkSet struct {
	links []Link
	seed  maphash.Seed
	slots []int32 // 1 + the index of a link; its size is a power of two and at least twice that of links
}

func newLinkSet(size int) *linkSet {
	return &linkSet{make([]Link, 0, size), maphash.MakeSeed(), make([]int32, 1<<bits.Len(uint(2*size)))}
}

// addAll adds those of a text that are new, up to the bounds, and reports whether that was all of them. Hosts are counted if
// there can be too many.
func (s *linkSet) addAll(links []Link, hosts map[string]bool, count bool) (whole bool) {
	whole = true
	for i := range links {
		l := &links[i]
		at, seen := s.find(l)
		if seen {
			continue
		}
		if len(s.links) >= maxLinks {
			return false
		}
		if count {
			host := hostOf(l.URL)
			if len(hosts) >= maxHosts && !hosts[host] {
				whole = false
				continue
			}
			hosts[host] = true
		}
		s.add(l, at)
	}
	return whole
}

// find is the slot of l, and whether it stands there already.
func (s *linkSet) find(l *Link) (at int, seen bool) {
	mask := len(s.slots) - 1
	h := maphash.String(s.seed, l.URL) + 31*maphash.String(s.seed, l.Text)
	for at = int(h) & mask; s.slots[at] != 0; at = (at + 1) & mask {
		if have := &s.links[s.slots[at]-1]; have.URL == l.URL && have.Text == l.Text && have.Where == l.Where {
			return at, true
		}
	}
	return at, false
}

func (s *linkSet) add(l *Link, at int) {
	s.links = append(s.links, *l)
	s.slots[at] = int32(len(s.links))
}
