package rules

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"math/bits"
	"slices"
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

// MostOfAText is how many octets of one text rules look at.
const MostOfAText = maxLong

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
	defer func() {
		m.texts = nil
		s.scratch.Put(m)
	}()
	return m.match(ctx, texts)
}

// match is Match. It looks for the fixed texts of all patterns first, and tries an expression only where a rule depends on it.
func (m *matcher) match(ctx context.Context, texts []Text) (hits []Hit, complete bool) {
	m.reset(texts)
	for i, t := range texts {
		if ctx.Err() != nil {
			m.spent = true
			break
		}
		m.look(i, t)
	}
	m.ask()
	for at, set := range m.rules {
		for ; set != 0; set &= set - 1 {
			n := 64*at + bits.TrailingZeros64(set)
			if ctx.Err() != nil {
				return hits, false
			}
			if c := &m.set.asks[n]; m.holds(c) {
				hits = append(hits, Hit{Rule: n, Proof: m.show(m.prove(c, m.proof[:0]))})
			}
		}
	}
	return hits, !m.spent
}

// A matcher is the working memory of one Match.
type matcher struct {
	set     *Set
	texts   []Text
	folds   []folding  // by text: its folding; of texts that patterns look into
	buf     []byte     // the foldings that may still be looked into, each with pad octets behind it
	marks   []mark     // of all texts, in order
	found   []place    // by pattern that was found: where it was first
	known   []verdict  // by pattern: whether it was found
	touched []int32    // patterns that are or may be there
	seen    []sighting // fixed texts of expressions, as they stand in the texts
	last    []int32    // by word: its last sighting, counted from 1; 0: none
	wholly  [][]int32  // by pattern that is tried on whole texts: these
	windows []window   // of one pattern
	runner  runner
	rules   []uint64 // a bit for each rule that may hold
	proof   []int32
	spare   []byte
	spent   bool
}

// A verdict says whether something is there. What may be is found out only where it matters.
type verdict uint8

const (
	no verdict = iota
	maybe
	yes
)

// A folding is where a folded text stands in buf.
type folding struct {
	start, end int32
	place      int
	ascii      bool // the folded text is ASCII
}

// A sighting is where a word stands: at a place of a text, or at several in a row.
type sighting struct {
	word, text  int32
	first, last int32
	before      int32 // the sighting of the word before, counted from 1
}

// A place is where a pattern was found.
type place struct {
	text       int32
	start, end int32
	exact      bool // start and end count the octets as written, not folded
}

// A window is the places of a text at which a match may begin, from first to last.
type window struct{ text, first, last int32 }

func newMatcher(s *Set) *matcher {
	return &matcher{
		set: s, found: make([]place, len(s.patterns)), known: make([]verdict, len(s.patterns)), wholly: make([][]int32, len(s.patterns)),
		last: make([]int32, s.words), rules: make([]uint64, (len(s.rules)+63)/64),
	}
}

// reset forgets the message before.
func (m *matcher) reset(texts []Text) {
	for _, n := range m.touched {
		m.known[n] = no
		m.wholly[n] = m.wholly[n][:0]
	}
	m.unsee()
	clear(m.rules)
	m.texts, m.folds, m.buf, m.marks, m.touched = texts, slices.Grow(m.folds[:0], len(texts))[:len(texts)], m.buf[:0], m.marks[:0], m.touched[:0]
	m.runner.work, m.spent = 0, false
}

// ask notes the rules that ask for something that is or may be there: no other holds.
func (m *matcher) ask() {
	for _, n := range m.touched {
		if m.known[n] != no {
			for _, rule := range m.set.users[n] {
				m.rules[rule/64] |= 1 << (rule % 64)
			}
		}
	}
}

// The bounds of what is kept for later, about; beyond them all that may be there is found out at once.
const (
	maxKept = 1 << 20 // octets of foldings
	maxSeen = 1 << 16 // sightings
)

// look finds the phrases that stand in one text, and where expressions may match.
func (m *matcher) look(i int, t Text) {
	at, asked := m.set.places[t.Place]
	if !asked {
		return
	}
	var padding [pad]byte
	start := len(m.buf)
	m.buf, m.marks = foldMarked(m.buf, clip(t), i, m.marks)
	end := len(m.buf)
	m.buf = append(m.buf, padding[:]...)
	text := m.buf[start:end]
	m.folds[i] = folding{int32(start), int32(end), at, isASCII(text)}
	f := m.set.finders[at]
	m.runner.work += f.scan(m.buf[start:], func(word int32, start int) {
		o, end := &f.words[word], f.words[word+1].phrases
		for _, n := range f.owners[o.phrases:o.expression] {
			if m.known[n] != yes {
				m.phrase(i, n, text, start)
			}
		}
		if o.expression < end {
			m.see(f.owners[o.expression:end], o.number, int32(i), int32(start))
		}
	})
	m.directly(i, at, text)
	if len(m.buf) > maxKept || len(m.seen) > maxSeen {
		m.settle()
	}
}

// directly notes which of the patterns that have no fixed texts may be in one text: those of whose octets it has some.
func (m *matcher) directly(i, at int, text []byte) {
	list := m.set.direct[at]
	if len(list) == 0 {
		return
	}
	folded, written := octetsOf(text), octetsOf(clip(m.texts[i]))
	for k := range list {
		d := &list[k]
		there := &folded
		if d.exact {
			there = &written
		}
		if m.known[d.pattern] != yes && there.meetAll(d.holds) {
			m.possible(d.pattern)
			m.wholly[d.pattern] = append(m.wholly[d.pattern], int32(i))
		}
	}
}

// phrase is called where the beginning of a phrase, pattern n, stands.
func (m *matcher) phrase(i int, n int32, text []byte, start int) {
	p := &m.set.patterns[n]
	m.runner.work++
	if p.places.has(m.folds[i].place) && p.stands(text, start) {
		m.note(n, place{text: int32(i), start: int32(start), end: int32(start + len(p.phrase))})
	}
}

// see notes where a word of expressions stands.
func (m *matcher) see(expressions []int32, word, text, start int32) {
	m.runner.work++
	before := m.last[word]
	if before == 0 || m.seen[before-1].text != text {
		for _, n := range expressions {
			m.possible(n)
		}
	} else if s := &m.seen[before-1]; s.last+1 == start {
		s.last = start
		return
	}
	m.seen = append(m.seen, sighting{word, text, start, start, before})
	m.last[word] = int32(len(m.seen))
}

// unsee forgets where words stand.
func (m *matcher) unsee() {
	for i := range m.seen {
		m.last[m.seen[i].word] = 0
	}
	if m.seen = m.seen[:0]; cap(m.seen) > 2*maxSeen {
		m.seen = nil
	}
}

// settle finds out all that may be there.
func (m *matcher) settle() {
	m.touched = slices.DeleteFunc(m.touched, func(n int32) bool { return !m.is(n) })
	m.buf = m.buf[:0]
	m.unsee()
}

// note notes that pattern n was found.
func (m *matcher) note(n int32, p place) {
	if m.known[n] == no {
		m.touched = append(m.touched, n)
	}
	m.found[n], m.known[n] = p, yes
}

// possible notes that pattern n may be there.
func (m *matcher) possible(n int32) {
	if m.known[n] == no {
		m.touched = append(m.touched, n)
		m.known[n] = maybe
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

const (
	perWindow  = 4       // steps that a window costs
	maxWindows = 4 << 10 // of one pattern; if there are more, those of a text become one
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

// is reports whether pattern n is there.
func (m *matcher) is(n int32) bool {
	if m.known[n] != maybe {
		return m.known[n] == yes
	}
	if m.runner.work > maxWork {
		m.spent = true
	}
	if m.set.patterns[n].local() && !m.spent {
		for list := m.places(n); len(list) > 0 && m.known[n] == maybe; {
			same := 1
			for same < len(list) && list[same].text == list[0].text {
				same++
			}
			m.runner.forget()
			m.try(n, list[:same])
			list = list[same:]
		}
	}
	for _, i := range m.wholly[n] {
		m.runner.forget()
		if m.whole(n, int(i)); m.known[n] == yes {
			break
		}
	}
	m.wholly[n] = m.wholly[n][:0]
	if m.known[n] == maybe {
		m.known[n] = no
	}
	return m.known[n] == yes
}

// places are where matches of pattern n may begin, in the order of texts and in them of their beginnings.
func (m *matcher) places(n int32) []window {
	p := &m.set.patterns[n]
	list, most := m.windows[:0], maxWindows
	for _, word := range p.words {
		for at := m.last[word]; at > 0; {
			s := &m.seen[at-1]
			at = s.before
			f := &m.folds[s.text]
			if !p.places.has(f.place) {
				continue
			}
			if m.runner.work += perWindow; len(list) == most {
				list = joined(list, maxLong*growth)
				most = len(list) + maxWindows
			}
			list = append(list, window{s.text, max(s.first-int32(p.needs.lead.in(f.ascii)), 0), s.last})
		}
	}
	m.windows = joined(list, 1)
	return m.windows
}

// joined puts windows in order, and makes one of those in a text that are less than so many places apart.
func joined(list []window, apart int32) []window {
	slices.SortFunc(list, func(a, b window) int { return cmp.Or(cmp.Compare(a.text, b.text), cmp.Compare(a.first, b.first)) })
	out := list[:0]
	for _, w := range list {
		if n := len(out); n > 0 && out[n-1].text == w.text && w.first <= out[n-1].last+apart {
			out[n-1].last = max(out[n-1].last, w.last)
		} else {
			out = append(out, w)
		}
	}
	return out
}

// folded is a text, folded.
func (m *matcher) folded(i int) []byte { return m.buf[m.folds[i].start:m.folds[i].end] }

// try looks for pattern n where its matches may begin in a text.
func (m *matcher) try(n int32, list []window) {
	p := &m.set.patterns[n]
	i := int(list[0].text)
	text, reach := m.folded(i), p.reach.in(m.folds[i].ascii)
	for _, w := range list {
		if !m.within(p, text[w.first:min(int(w.last)+reach, len(text))]) {
			continue
		}
		if start, end := m.search(p, text, w, reach); end >= 0 {
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
func (m *matcher) whole(n int32, i int) {
	p := &m.set.patterns[n]
	text := m.folded(i)
	if p.exact {
		m.spare = append(m.spare[:0], clip(m.texts[i])...)
		text = m.spare
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
	w := window{int32(i), 0, int32(len(text))}
	if p.program.begin {
		w.last = 0
	}
	if start, end := m.search(p, text, w, len(text)); end >= 0 {
		m.note(n, place{int32(i), int32(start), int32(end), p.exact})
	}
}
