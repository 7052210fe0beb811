package rules

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Text is something to look into.
type Text struct {
	Place   string // one of Places, or header:NAME in lower case
	Content string // UTF-8; what is not is read as question marks
}

// The bounds of what is looked at.
const (
	maxShort = 2 << 10   // octets of one text of a short place
	maxLong  = 256 << 10 // octets of one text of a long place
	maxWork  = 16 << 20  // steps that are done for one message
	maxProof = 5         // proofs of one rule
)

// A Hit is a rule that holds, and what proves it.
type Hit struct {
	Rule  int // its place in Rules
	Proof []Proof
}

// A Proof is where a pattern was found, as the text is written.
type Proof struct {
	Text       int // its place among the texts
	Start, End int // octets of its content
}

// Match finds the rules that hold for texts, in their order. It is done early, with what was found until then, when ctx
// ends or the patterns would cost too much; then complete is false.
func (s *Set) Match(ctx context.Context, texts []Text) (hits []Hit, complete bool) {
	m := s.scratch.Get().(*matcher)
	defer s.scratch.Put(m)
	m.reset()
	for i, t := range texts {
		if ctx.Err() != nil {
			m.spent = true
			break
		}
		m.look(i, t)
	}
	for _, n := range m.asked() {
		if proof, ok := m.holds(&s.asks[n], m.proof[:0]); ok {
			hits = append(hits, Hit{Rule: int(n), Proof: m.show(texts, proof)})
			m.proof = proof
		}
	}
	return hits, !m.spent
}

// A matcher is the working memory of one Match.
type matcher struct {
	set     *Set
	text    []byte     // the text being looked at, folded, and pad octets more
	ascii   bool       // it is ASCII
	marks   []mark     // of all texts, in order
	found   []place    // by pattern: where it was found first; text -1 if it was not
	touched []int32    // patterns whose found is set
	near    [][]window // by pattern: where in the text a match may begin
	tries   []int32    // patterns with windows, in the order of their first
	runner  runner
	rules   []int32 // those that may hold
	proof   []int32
	spent   bool
}

// A place is where a pattern was found.
type place struct {
	text       int32
	start, end int32
	exact      bool // start and end count the octets as written, not folded
}

// A window is the places of a text at which a match may begin, from first to last.
type window struct{ first, last int32 }

func newMatcher(s *Set) *matcher {
	m := &matcher{set: s, found: make([]place, len(s.patterns)), near: make([][]window, len(s.patterns))}
	for i := range m.found {
		m.found[i].text = -1
	}
	return m
}

// reset forgets the message before.
func (m *matcher) reset() {
	for _, n := range m.touched {
		m.found[n].text = -1
	}
	m.touched, m.marks, m.runner.work, m.spent = m.touched[:0], m.marks[:0], 0, false
}

// asked are the rules that ask for something that was found, in their order: no other holds.
func (m *matcher) asked() []int32 {
	m.rules = m.rules[:0]
	for _, n := range m.touched {
		m.rules = append(m.rules, m.set.users[n]...)
	}
	slices.Sort(m.rules)
	m.rules = slices.Compact(m.rules)
	return m.rules
}

// look finds the patterns that stand in one text.
func (m *matcher) look(i int, t Text) {
	at, asked := m.set.places[t.Place]
	if !asked {
		return
	}
	content := clip(t)
	var padding [pad]byte
	m.text, m.marks = foldMarked(m.text[:0], content, i, m.marks)
	padded := append(m.text, padding[:]...)
	m.text = padded[:len(padded)-pad]
	m.ascii = isASCII(m.text)
	f := m.set.finders[at]
	m.runner.work += f.scan(padded, func(word int32, start int) {
		for _, n := range f.owners[word] {
			if m.found[n].text < 0 {
				m.candidate(i, n, start)
			}
		}
	})
	for _, n := range m.tries {
		m.try(i, n)
		m.near[n] = m.near[n][:0]
	}
	m.tries = m.tries[:0]
	for _, n := range m.set.direct[at] {
		if m.found[n].text < 0 {
			m.whole(i, n, content)
		}
	}
}

// isASCII reports whether a text is ASCII.
func isASCII(text []byte) bool {
	for ; len(text) >= 8; text = text[8:] {
		if binary.LittleEndian.Uint64(text)&0x8080808080808080 != 0 {
			return false
		}
	}
	for _, b := range text {
		if b >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// clip is as much of a text as is looked at, cut between letters.
func clip(t Text) string {
	most := maxLong
	if shortPlace(t.Place) {
		most = maxShort
	}
	if len(t.Content) <= most {
		return t.Content
	}
	for most > 0 && !utf8.RuneStart(t.Content[most]) {
		most--
	}
	return t.Content[:most]
}

func (m *matcher) note(n int32, p place) {
	m.found[n] = p
	m.touched = append(m.touched, n)
}

// candidate is called where a fixed text of pattern n begins.
func (m *matcher) candidate(i int, n int32, start int) {
	p := &m.set.patterns[n]
	m.runner.work++
	if p.phrase != "" {
		if p.stands(m.text, start) {
			m.note(n, place{text: int32(i), start: int32(start), end: int32(start + len(p.phrase))})
		}
		return
	}
	w := window{int32(max(start-p.needs.lead.in(m.ascii), 0)), int32(start)}
	list := m.near[n]
	if len(list) == 0 {
		m.tries = append(m.tries, n)
	} else if last := &list[len(list)-1]; len(list) == maxWindows || w.first >= last.first && w.first <= last.last+1 {
		last.first, last.last = min(last.first, w.first), max(last.last, w.last)
		return
	}
	m.runner.work += perWindow
	m.near[n] = append(list, w)
}

const (
	perWindow  = 4       // steps that a window costs
	maxWindows = 4 << 10 // of one pattern in one text; then the last grows
)

// stands reports whether the phrase stands at start.
func (p *pattern) stands(text []byte, start int) bool {
	end := start + len(p.phrase)
	if end > len(text) || string(text[start:end]) != p.phrase {
		return false
	}
	if p.left && start > 0 && wordy(p.phrase[0]) && wordy(text[start-1]) {
		return false
	}
	return !p.right || end == len(text) || !wordy(p.phrase[len(p.phrase)-1]) || !wordy(text[end])
}

// wordy reports whether an octet is part of a word by the measure of \b.
func wordy(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b == '_'
}

// try looks for pattern n where its matches may begin.
func (m *matcher) try(i int, n int32) {
	p := &m.set.patterns[n]
	reach := p.reach.in(m.ascii)
	// Words of a pattern are found a little out of the order in which they stand.
	list := m.near[n]
	slices.SortFunc(list, func(a, b window) int { return cmp.Compare(a.first, b.first) })
	m.runner.forget()
	next := int32(0) // places before it were tried
	for _, w := range list {
		w.first = max(w.first, next)
		if w.first > w.last {
			continue
		}
		next = w.last + 1
		if !m.within(p, m.text[w.first:min(int(w.last)+reach, len(m.text))]) {
			continue
		}
		if start, end := m.search(p, m.text, w, reach); end >= 0 {
			m.note(n, place{text: int32(i), start: int32(start), end: int32(end)})
			return
		}
	}
}

// search is the first match of a pattern that begins in a window, and its end; end is negative if there is none.
func (m *matcher) search(p *pattern, text []byte, w window, reach int) (start, end int) {
	first := p.program.first
	m.runner.work += int(w.last-w.first) / 8
	size := 0
	for at := int(w.first); at <= int(w.last); at += size {
		if p.program.only != 0 {
			n := bytes.IndexByte(text[at:min(int(w.last)+1, len(text))], p.program.only)
			if n < 0 {
				break
			}
			at += n
		}
		if size = 1; at < len(text) && text[at] >= utf8.RuneSelf {
			_, size = utf8.DecodeRune(text[at:])
		}
		if !first.admits(text, at) || !p.exact && at < len(text) && !utf8.RuneStart(text[at]) {
			continue // a window may begin within a letter
		}
		end := m.runner.match(p.program, reach, text, at, maxWork-m.runner.work)
		if end == tooLong {
			m.spent = true
			return at, noMatch
		}
		if end >= 0 {
			return at, end
		}
	}
	return 0, noMatch
}

// within reports whether something of each of the pattern's other needs stands in a piece of the text.
func (m *matcher) within(p *pattern, piece []byte) bool {
	for _, also := range p.also {
		m.runner.work += len(piece) / 8
		if !slices.ContainsFunc(also.words, func(word string) bool { return bytes.Contains(piece, []byte(word)) }) {
			return false
		}
	}
	return true
}

// whole looks for pattern n in a whole short text.
func (m *matcher) whole(i int, n int32, content string) {
	p := &m.set.patterns[n]
	text := m.text
	if p.exact {
		text = append(m.text[len(m.text):], content...)
	}
	m.runner.work += len(text) / 8
	if p.phrase != "" {
		for from := 0; ; from++ {
			at := bytes.Index(text[from:], []byte(p.phrase))
			if at < 0 {
				return
			}
			if from += at; p.stands(text, from) {
				m.note(n, place{int32(i), int32(from), int32(from + len(p.phrase)), p.exact})
				return
			}
		}
	}
	w := window{0, int32(len(text))}
	if p.program.begin {
		w.last = 0
	}
	m.runner.forget()
	if start, end := m.search(p, text, w, len(text)); end >= 0 {
		m.note(n, place{int32(i), int32(start), int32(end), p.exact})
	}
}

// holds reports whether a condition does, and by which patterns.
func (m *matcher) holds(c *condition, proof []int32) ([]int32, bool) {
	count := 0
	for _, n := range c.match {
		if m.found[n].text >= 0 {
			count++
			proof = append(proof, n)
		}
	}
	if len(c.match) > 0 && count < c.least {
		return nil, false
	}
	for i := range c.all {
		var ok bool
		if proof, ok = m.holds(&c.all[i], proof); !ok {
			return nil, false
		}
	}
	for i := range c.not {
		if _, ok := m.holds(&c.not[i], proof[len(proof):]); ok { // behind what is kept
			return nil, false
		}
	}
	if len(c.any) == 0 {
		return proof, true
	}
	for i := range c.any {
		if more, ok := m.holds(&c.any[i], proof); ok {
			return more, true
		}
	}
	return nil, false
}

// show finds what was matched as it is written.
func (m *matcher) show(texts []Text, patterns []int32) []Proof {
	var list []Proof
	for _, n := range patterns {
		if len(list) == maxProof {
			break
		}
		f := m.found[n]
		start, end := int(f.start), int(f.end)
		if !f.exact {
			start, end = unfold(m.text, clip(texts[f.text]), m.before(f), start, end)
		}
		list = append(list, Proof{Text: int(f.text), Start: start, End: end})
	}
	return list
}

// before is the last mark before a place.
func (m *matcher) before(p place) mark {
	n, _ := slices.BinarySearchFunc(m.marks, p, func(m mark, p place) int {
		return cmp.Or(cmp.Compare(m.text, p.text), cmp.Compare(m.folded, int(p.start)+1))
	})
	if n == 0 || m.marks[n-1].text != p.text {
		return mark{}
	}
	return m.marks[n-1]
}

// Quote is what a proof points at, with some of what stands around it.
func (p Proof) Quote(texts []Text) string {
	const around = 30
	s := texts[p.Text].Content
	start, end := max(p.Start-around, 0), min(p.End+around, len(s))
	for start < p.Start && !utf8.RuneStart(s[start]) {
		start++
	}
	for end < len(s) && !utf8.RuneStart(s[end]) {
		end++
	}
	return strings.Join(strings.Fields(s[start:end]), " ")
}
