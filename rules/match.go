package rules

import (
	"bytes"
	"context"
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
	maxWork  = 64 << 20  // octets that regular expressions look at for one message, times their steps
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
	for n := range s.asks {
		if proof, ok := m.holds(&s.asks[n], nil); ok {
			hits = append(hits, Hit{Rule: n, Proof: m.show(texts, proof)})
		}
	}
	return hits, !m.spent
}

// A matcher is the working memory of one Match.
type matcher struct {
	set     *Set
	text    []byte     // the text being looked at, folded
	found   []place    // by pattern: where it was found first; text -1 if it was not
	touched []int32    // patterns whose found is set
	near    [][]window // by pattern: where in the text to try it
	tries   []int32    // patterns with windows, in the order of their first
	work    int
	spent   bool
}

// A place is where a pattern was found.
type place struct {
	text       int32
	start, end int32
	exact      bool // start and end count the octets as written, not folded
}

// A window is a piece of the text that a pattern is tried on.
type window struct{ start, end int32 }

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
	m.touched, m.work, m.spent = m.touched[:0], 0, false
}

// look finds the patterns that stand in one text.
func (m *matcher) look(i int, t Text) {
	at, asked := m.set.places[t.Place]
	if !asked {
		return
	}
	content := clip(t)
	m.text = fold(m.text[:0], content)
	m.set.words.scan(m.text, func(word int32, end int) {
		for _, n := range m.set.owners[word] {
			if m.found[n].text < 0 && m.set.patterns[n].places.has(at) {
				m.candidate(i, n, end)
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

// candidate is called where a fixed text of pattern n ends.
func (m *matcher) candidate(i int, n int32, end int) {
	p := &m.set.patterns[n]
	if p.phrase != "" {
		start := end - len(p.literals[0])
		if p.stands(m.text, start) {
			m.note(n, place{text: int32(i), start: int32(start), end: int32(start + len(p.phrase))})
		}
		return
	}
	w := window{int32(max(end-p.reach-1, 0)), int32(min(end+p.reach+1, len(m.text)))}
	list := m.near[n]
	switch {
	case len(list) == 0:
		m.tries = append(m.tries, n)
	case w.start <= list[len(list)-1].end:
		list[len(list)-1].end = max(w.end, list[len(list)-1].end)
		return
	}
	m.near[n] = append(list, w)
}

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

// widen makes windows go on to the next octets that are in no word, so that \b means the same in them as in the text, and to
// whole letters. Windows that meet become one; the octets between windows are looked at once.
func widen(text []byte, list []window) []window {
	out := list[:0]
	for _, w := range list {
		least := int32(0)
		if len(out) > 0 {
			least = out[len(out)-1].end
		}
		if w.start < least {
			w.start = least
		}
		for w.start > least && (wordy(text[w.start]) || !utf8.RuneStart(text[w.start])) {
			w.start--
		}
		for int(w.end) < len(text) && (wordy(text[w.end-1]) || !utf8.RuneStart(text[w.end])) {
			w.end++
		}
		if len(out) > 0 && w.start <= least {
			out[len(out)-1].end = max(w.end, least)
			continue
		}
		out = append(out, w)
	}
	return out
}

// afford reports whether pattern p may be tried on that many octets.
func (m *matcher) afford(p *pattern, octets int) bool {
	cost := (octets + 16) * (p.steps + 1)
	if m.work+cost > maxWork {
		m.spent = true
		return false
	}
	m.work += cost
	return true
}

// try looks for pattern n in its windows.
func (m *matcher) try(i int, n int32) {
	p := &m.set.patterns[n]
	for _, w := range widen(m.text, m.near[n]) {
		if !m.afford(p, int(w.end-w.start)) {
			return
		}
		if at := p.re.FindIndex(m.text[w.start:w.end]); at != nil {
			m.note(n, place{text: int32(i), start: w.start + int32(at[0]), end: w.start + int32(at[1])})
			return
		}
	}
}

// whole looks for pattern n in a whole short text.
func (m *matcher) whole(i int, n int32, content string) {
	p := &m.set.patterns[n]
	if !m.afford(p, len(content)) {
		return
	}
	text := m.text
	if p.exact {
		text = append(m.text[len(m.text):], content...)
	}
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
	if at := p.re.FindIndex(text); at != nil {
		m.note(n, place{int32(i), int32(at[0]), int32(at[1]), p.exact})
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
		if _, ok := m.holds(&c.not[i], nil); ok {
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
			start, end = unfold(clip(texts[f.text]), start, end)
		}
		list = append(list, Proof{Text: int(f.text), Start: start, End: end})
	}
	return list
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
