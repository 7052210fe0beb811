// Package brands knows the names of firms that are borrowed most to deceive, and the domains that are their own, from a data file.
//
// It says whose name a text bears; whether the bearer may is its caller's business, and it knows nothing of mail.
package brands

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"gatepost/rules/lookalike"
)

// A Brand is one firm, or a few of one trade that stand on one line.
type Brand struct {
	Name    string   // the first of its names
	joined  []string // its names, written together, as skeletons
	domains map[string]bool
}

// Owns reports whether a host, in lower-case A-labels, is one of the brand's own domains or below one.
func (b *Brand) Owns(host string) bool {
	for {
		if b.domains[host] {
			return true
		}
		_, rest, ok := strings.Cut(host, ".")
		if !ok {
			return false
		}
		host = rest
	}
}

// Owner is the brand that owns a registered domain, nil if nobody does who stands in the table.
func (t *Table) Owner(domain string) *Brand { return t.owners[domain] }

// A Table finds brands by their names and by labels of domains. It is immutable.
type Table struct {
	look    *lookalike.Table
	first   map[string][]entry // names by their first word
	service map[string]bool
	labels  map[string][]*Brand // by the skeleton of a domain's own label
	owners  map[string]*Brand   // by domain
	long    map[string][]label  // labels that mean the brand wherever they stand in another, by their beginning
	begins  beginnings          // of those
	slips   [64][]label         // labels that may be written wrong by a letter, by their length
}

// An entry is one name as words.
type entry struct {
	words []string
	brand *Brand
	word  bool // an ordinary word as well
}

// A label is the own part of a brand's domain, such as paypal.
type label struct {
	text  string
	ends  uint32 // see endsOf
	brand *Brand
}

// endsOf is the first two octets of a word and its last two. Words of minSlip-1 octets and more that one slip makes of each other
// have one of both pairs in common, for a slip reaches no farther than three octets: nearly all words are told apart by that.
func endsOf(s string) uint32 {
	n := len(s)
	return uint32(s[0])<<24 | uint32(s[1])<<16 | uint32(s[n-2])<<8 | uint32(s[n-1])
}

// apart reports whether no slip makes one word of the other, by their ends.
func apart(a, b uint32) bool { return (a^b)&0xFFFF0000 != 0 && (a^b)&0xFFFF != 0 }

// Beginnings are a quick no for what no label begins with: a bit for the hash of each four octets that one begins with.
type beginnings [64]uint64

// place is the bit for the first four octets of s, which has as many.
func (*beginnings) place(s string) (word uint32, bit uint64) {
	h := (uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24) * 0x9E3779B1 >> 20
	return h / 64, 1 << (h % 64)
}

func (b *beginnings) add(s string) {
	word, bit := b.place(s)
	b[word] |= bit
}

// may reports whether a label may begin as s does.
func (b *beginnings) may(s string) bool {
	word, bit := b.place(s)
	return b[word]&bit != 0
}

//go:embed brands.txt
var shipped string

// Shipped is the table that the program comes with.
func Shipped(l *lookalike.Table) (*Table, error) { return Parse(shipped, l) }

// Parse reads a table. A line is "name" or "word", names with commas between, "=", and domains; or "service" and words.
// # begins a comment.
func Parse(text string, l *lookalike.Table) (*Table, error) {
	t := &Table{look: l, first: map[string][]entry{}, service: map[string]bool{}, labels: map[string][]*Brand{}, owners: map[string]*Brand{}, long: map[string][]label{}}
	for i, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		kind, rest, _ := strings.Cut(line, " ")
		var err error
		switch kind {
		case "service":
			for _, w := range strings.Fields(rest) {
				t.service[t.look.Skeleton(w)] = true
			}
		case "name", "word":
			err = t.add(kind == "word", rest)
		default:
			err = fmt.Errorf("unknown kind %q", kind)
		}
		if err != nil {
			return nil, fmt.Errorf("read line %d: %w", i+1, err)
		}
	}
	return t, nil
}

// add takes one line of names and domains.
func (t *Table) add(word bool, line string) error {
	names, domains, ok := strings.Cut(line, " = ")
	if !ok || strings.TrimSpace(names) == "" || strings.TrimSpace(domains) == "" {
		return fmt.Errorf("want names, =, domains")
	}
	b := &Brand{domains: map[string]bool{}}
	for _, n := range strings.Split(names, ",") {
		n = strings.TrimSpace(n)
		words := t.skeletons(t.Words(n))
		if len(words) == 0 {
			return fmt.Errorf("%q is no name", n)
		}
		if b.Name == "" {
			b.Name = n
		}
		b.joined = append(b.joined, strings.Join(words, ""))
		for _, e := range t.first[words[0]] {
			if len(e.words) == len(words) && strings.Join(e.words, " ") == strings.Join(words, " ") {
				return fmt.Errorf("the name %q belongs to %s already", n, e.brand.Name)
			}
		}
		t.first[words[0]] = append(t.first[words[0]], entry{words, b, word})
	}
	for _, d := range strings.Fields(domains) {
		if d != strings.ToLower(d) || strings.Trim(d, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" || b.domains[d] {
			return fmt.Errorf("%q is no domain in lower case, or stands here twice", d)
		}
		b.domains[d] = true
		if t.owners[d] == nil {
			t.owners[d] = b
		}
		t.addLabel(b, d, word)
	}
	return nil
}

// minLong is how long a label must be to mean its brand inside of another.
const minLong = 6

// addLabel lets the own part of a domain be found. What is shared by many, or is a word, means nobody.
func (t *Table) addLabel(b *Brand, domain string, word bool) {
	own, _, _ := strings.Cut(domain, ".")
	if len(own) < 4 || word || !t.bears(own, b) {
		return
	}
	skeleton := t.look.Skeleton(own)
	for _, other := range t.labels[skeleton] {
		if other == b {
			return
		}
	}
	t.labels[skeleton] = append(t.labels[skeleton], b)
	if len(own) >= minLong {
		t.long[own[:minLong]] = append(t.long[own[:minLong]], label{own, endsOf(own), b})
		t.begins.add(own)
	}
	if len(own) >= minSlip && len(own) < len(t.slips) {
		t.slips[len(own)] = append(t.slips[len(own)], label{own, endsOf(own), b})
	}
}

// bears reports whether a label is one of the brand's names, written together.
func (t *Table) bears(own string, b *Brand) bool {
	return slices.Contains(b.joined, t.look.Skeleton(strings.ReplaceAll(own, "-", "")))
}

// skeletons puts the skeleton of each word in its place.
func (t *Table) skeletons(words []string) []string {
	for i, w := range words {
		words[i] = t.look.Skeleton(w)
	}
	return words
}

// Words are the words of a text as a reader takes them: folded, apart at everything that is no letter or digit but & and +;
// apostrophes vanish. A run of Chinese characters is one word.
func (t *Table) Words(s string) []string {
	s = t.look.Fold(s)
	return strings.FieldsFunc(strings.Map(func(r rune) rune {
		if r == '\'' || r == '\u2019' || r == '\u2122' || r == '\u00ae' {
			return -1
		}
		return r
	}, s), func(r rune) bool {
		return r != '&' && r != '+' && (r < utf8.RuneSelf && !alnum(byte(r)) || r >= utf8.RuneSelf && !unicode.IsLetter(r) && !unicode.IsDigit(r))
	})
}

func alnum(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// Named is the brand whose name a short text, such as a display name, bears; nil if there is none. An ordinary word counts only
// if beside it stand none but service words, numbers and single letters.
func (t *Table) Named(s string) *Brand {
	words := t.skeletons(t.Words(s))
	for i, w := range words {
		for _, e := range t.first[w] {
			if !begins(words[i:], e.words) {
				continue
			}
			if !e.word || t.served(words[:i]) && t.served(words[i+len(e.words):]) {
				return e.brand
			}
		}
	}
	return nil
}

// Heads is the brand whose name a text begins with, as a letterhead does: nothing but service words may stand before it. An ordinary
// word does not count.
func (t *Table) Heads(s string) *Brand {
	words := t.skeletons(t.Words(s))
	for i, w := range words {
		for _, e := range t.first[w] {
			if !e.word && begins(words[i:], e.words) {
				return e.brand
			}
		}
		if !t.service[w] {
			return nil
		}
	}
	return nil
}

// begins reports whether words begin with those of a name.
func begins(words, name []string) bool {
	if len(words) < len(name) {
		return false
	}
	for i, w := range name {
		if words[i] != w {
			return false
		}
	}
	return true
}

// served reports whether all words are service words, numbers or single letters.
func (t *Table) served(words []string) bool {
	for _, w := range words {
		if !t.service[w] && len(w) > 1 && strings.Trim(w, "0123456789") != "" {
			return false
		}
	}
	return true
}

// A Likeness is how a label of a host bears a brand's name.
type Likeness int

// From the strongest to the weakest.
const (
	None     Likeness = iota
	Disguise          // looks like the brand's label and is another: paypaI, rnicrosoft
	Slip              // one letter off
	Part              // the brand's label stands in it beside other words: paypal-security
	Same              // the very label, under another ending or inside of a longer host
)

// Like is the brand that a label of a host name bears, and how. The label is in Unicode, lower case, without dots.
func (t *Table) Like(s string) (*Brand, Likeness) {
	if len(s) < 4 || len(s) > maxLabel {
		return nil, None
	}
	folded := t.look.Fold(s)
	if list := t.labels[t.look.Skeleton(s)]; len(list) > 0 {
		if list[0].has(s) {
			return list[0], Same
		}
		return list[0], Disguise
	}
	words := strings.FieldsFunc(folded, func(r rune) bool { return r == '-' || r == '_' || r >= '0' && r <= '9' })
	for _, w := range words {
		if len(words) == 1 && w == folded || len(w) < 4 {
			continue
		}
		if list := t.labels[t.look.Skeleton(w)]; len(list) > 0 {
			return list[0], Part
		}
	}
	for i := 0; i+minLong <= len(folded); i++ {
		if !t.begins.may(folded[i:]) {
			continue
		}
		for _, l := range t.long[folded[i:i+minLong]] {
			if strings.HasPrefix(folded[i:], l.text) {
				return l.brand, Part
			}
		}
	}
	return t.slip(folded)
}

// slip is the brand whose label a folded one is but for one slip.
func (t *Table) slip(folded string) (*Brand, Likeness) {
	if len(folded) < minSlip-1 || len(folded) > len(t.slips) {
		return nil, None
	}
	ends := endsOf(folded)
	for _, near := range t.slips[len(folded)-1 : min(len(folded)+2, len(t.slips))] {
		for i := range near {
			if l := &near[i]; !apart(ends, l.ends) && lookalike.Near(folded, l.text) {
				return l.brand, Slip
			}
		}
	}
	return nil, None
}

// maxLabel bounds the labels that are looked at, in octets: one of the DNS has 63 at most, in Unicode some more.
const maxLabel = 128

// minSlip is how long a brand's label must be for one letter to be a slip and not another word.
const minSlip = 7

// has reports whether the label is that of one of the brand's domains.
func (b *Brand) has(own string) bool {
	for d := range b.domains {
		if first, _, _ := strings.Cut(d, "."); first == own {
			return true
		}
	}
	return false
}
