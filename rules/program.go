package rules

import (
	"math/bits"
	"regexp/syntax"
	"slices"
	"unicode"
	"unicode/utf8"
)

// A program is a regular expression made ready to be tried at one place of a text. Unlike that of package regexp it takes
// a fixed text in one step, and so a repetition of one class of letters.
type program struct {
	steps []step
	start int32
	first *octets // what a match may begin with; nil: anything
	only  byte    // the one octet of ASCII in first; 0: there are others
	begin bool    // a match begins where the text does
}

// A step is one instruction of a program.
type step struct {
	op       op
	lazy     bool       // a repetition takes as few as it can
	x, y     int32      // the step behind; of a split, the one that comes first and the other
	text     string     // of takeText
	set      *letters   // of takeSet and repeatSet
	min, max int32      // of repeatSet: how often; max -1: without end, and min is 0
	peek     [2]*octets // of split and repeatSet: what x and y may begin with; nil: anything
}

// An op is what a step does.
type op uint8

const (
	fail op = iota
	takeText
	takeSet
	repeatSet
	split
	atBegin
	atEnd
	atWord
	matched
)

// octets is a set of octets.
type octets [4]uint64

func (o *octets) add(b byte)      { o[b/64] |= 1 << (b % 64) }
func (o *octets) has(b byte) bool { return o[b/64]&(1<<(b%64)) != 0 }

// one is the octet of a set that holds one alone.
func (o *octets) one() (byte, bool) {
	if o == nil || bits.OnesCount64(o[0])+bits.OnesCount64(o[1])+bits.OnesCount64(o[2])+bits.OnesCount64(o[3]) != 1 {
		return 0, false
	}
	for i, set := range o {
		if set != 0 {
			return byte(64*i + bits.TrailingZeros64(set)), true
		}
	}
	return 0, false
}

// admits reports whether what stands at pos may be the beginning of what o is of.
func (o *octets) admits(text []byte, pos int) bool {
	return o == nil || pos < len(text) && o.has(text[pos])
}

// letters is a class of letters.
type letters struct {
	ascii octets
	far   []rune // ranges beyond ASCII, first and last of each
}

func newLetters(ranges []rune) *letters {
	l := &letters{}
	for i := 0; i+1 < len(ranges); i += 2 {
		lo, hi := ranges[i], ranges[i+1]
		for r := lo; r <= min(hi, unicode.MaxASCII); r++ {
			l.ascii.add(byte(r))
		}
		if hi > unicode.MaxASCII {
			l.far = append(l.far, max(lo, utf8.RuneSelf), hi)
		}
	}
	return l
}

// width is the length of the letter at pos, 0 if there is none of the class.
func (l *letters) width(text []byte, pos int) int {
	if pos >= len(text) {
		return 0
	}
	if b := text[pos]; b < utf8.RuneSelf {
		return int(l.ascii[b/64] >> (b % 64) & 1)
	}
	r, n := utf8.DecodeRune(text[pos:])
	for i := 0; i < len(l.far); i += 2 {
		if r < l.far[i] {
			return 0
		}
		if r <= l.far[i+1] {
			return n
		}
	}
	return 0
}

// beginnings adds the octets that the letters begin with.
func (l *letters) beginnings(o *octets) {
	for i := range l.ascii {
		o[i] |= l.ascii[i]
	}
	if len(l.far) > 0 {
		o[2], o[3] = ^uint64(0), ^uint64(0)
	}
}

// newProgram makes the program of a tree that holds what known allows.
func newProgram(t *syntax.Regexp) *program {
	p := &program{begin: begins(t)}
	p.start = p.emit(t, p.add(step{op: matched}))
	w := walk{program: p, seen: make([]int32, len(p.steps))}
	p.first = w.first(p.start)
	if b, ok := p.first.one(); ok && b < utf8.RuneSelf {
		p.only = b
	}
	for i := range p.steps {
		switch s := &p.steps[i]; s.op {
		case split:
			s.peek = [2]*octets{w.first(s.x), w.first(s.y)}
		case repeatSet:
			s.peek[0] = w.first(s.x)
		}
	}
	return p
}

func (p *program) add(s step) int32 {
	p.steps = append(p.steps, s)
	return int32(len(p.steps) - 1)
}

// emit adds the steps of t that go on at next, and returns the first of them.
func (p *program) emit(t *syntax.Regexp, next int32) int32 {
	lazy := t.Flags&syntax.NonGreedy != 0
	switch t.Op {
	case syntax.OpEmptyMatch:
		return next
	case syntax.OpLiteral:
		return p.literal(t, next)
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return p.add(step{op: takeSet, set: single(t), x: next})
	case syntax.OpBeginText:
		return p.add(step{op: atBegin, x: next})
	case syntax.OpEndText:
		return p.add(step{op: atEnd, x: next})
	case syntax.OpWordBoundary:
		return p.add(step{op: atWord, x: next})
	case syntax.OpCapture:
		return p.emit(t.Sub[0], next)
	case syntax.OpStar:
		return p.repeat(t.Sub[0], times{0, -1, lazy}, next)
	case syntax.OpPlus:
		return p.repeat(t.Sub[0], times{1, -1, lazy}, next)
	case syntax.OpQuest:
		return p.repeat(t.Sub[0], times{0, 1, lazy}, next)
	case syntax.OpRepeat:
		return p.repeat(t.Sub[0], times{t.Min, t.Max, lazy}, next)
	case syntax.OpConcat:
		for _, sub := range slices.Backward(t.Sub) {
			next = p.emit(sub, next)
		}
		return next
	case syntax.OpAlternate:
		last := len(t.Sub) - 1
		other := p.emit(t.Sub[last], next)
		for _, sub := range slices.Backward(t.Sub[:last]) {
			other = p.add(step{op: split, x: p.emit(sub, next), y: other})
		}
		return other
	}
	return p.add(step{op: fail})
}

// literal adds a fixed text, or a class for each letter of one that may be written in more than one way.
func (p *program) literal(t *syntax.Regexp, next int32) int32 {
	if t.Flags&syntax.FoldCase == 0 && !slices.Contains(t.Rune, utf8.RuneError) {
		return p.add(step{op: takeText, text: string(t.Rune), x: next})
	}
	for _, r := range slices.Backward(t.Rune) {
		next = p.add(step{op: takeSet, set: oneLetter(r, t.Flags), x: next})
	}
	return next
}

// oneLetter is the class of a letter and, if case counts for nothing, of its other cases.
func oneLetter(r rune, flags syntax.Flags) *letters {
	all := []rune{r}
	if flags&syntax.FoldCase != 0 {
		for c := unicode.SimpleFold(r); c != r; c = unicode.SimpleFold(c) {
			all = append(all, c)
		}
		slices.Sort(all)
	}
	var ranges []rune
	for _, c := range all {
		ranges = append(ranges, c, c)
	}
	return newLetters(ranges)
}

// single is the class of a tree that matches one letter; nil of any other.
func single(t *syntax.Regexp) *letters {
	switch t.Op {
	case syntax.OpLiteral:
		if len(t.Rune) == 1 {
			return oneLetter(t.Rune[0], t.Flags)
		}
	case syntax.OpCharClass:
		return newLetters(t.Rune)
	case syntax.OpAnyChar:
		return newLetters([]rune{0, unicode.MaxRune})
	case syntax.OpAnyCharNotNL:
		return newLetters([]rune{0, '\n' - 1, '\n' + 1, unicode.MaxRune})
	case syntax.OpCapture:
		return single(t.Sub[0])
	}
	return nil
}

// times says how often something is repeated; most -1: without end.
type times struct {
	least, most int
	lazy        bool
}

// repeat adds a repetition in the order of choices that package regexp has.
func (p *program) repeat(t *syntax.Regexp, n times, next int32) int32 {
	if set := single(t); set != nil {
		if n.most < 0 && n.least > 0 {
			next = p.repeat(t, times{0, -1, n.lazy}, next)
			n.most = n.least
		}
		return p.add(step{op: repeatSet, set: set, min: int32(n.least), max: int32(n.most), lazy: n.lazy, x: next})
	}
	least := n.least
	switch {
	case n.most >= 0:
		last := next
		for range n.most - n.least {
			next = p.either(p.emit(t, next), last, n.lazy)
		}
	case n.least == 0 && matchesNothing(t, true):
		next = p.either(p.loop(t, n.lazy, next), next, n.lazy) // so that an empty round ends it, as in package regexp
	case n.least == 0:
		at := p.add(step{op: split})
		p.choose(at, p.emit(t, at), next, n.lazy)
		next = at
	default:
		next, least = p.loop(t, n.lazy, next), least-1
	}
	for range least {
		next = p.emit(t, next)
	}
	return next
}

// loop adds t once or more often.
func (p *program) loop(t *syntax.Regexp, lazy bool, next int32) int32 {
	at := p.add(step{op: split})
	body := p.emit(t, at)
	p.choose(at, body, next, lazy)
	return body
}

func (p *program) either(x, y int32, lazy bool) int32 {
	at := p.add(step{op: split})
	p.choose(at, x, y, lazy)
	return at
}

func (p *program) choose(at, x, y int32, lazy bool) {
	if lazy {
		x, y = y, x
	}
	p.steps[at].x, p.steps[at].y = x, y
}

// A walk finds what may come first behind steps.
type walk struct {
	program *program
	seen    []int32 // by step: the number of the walk that was there last
	number  int32
	out     octets
}

// first is what a match from a step on may begin with; nil if it may be empty.
func (w *walk) first(at int32) *octets {
	w.number++
	w.out = octets{}
	if !w.from(at) {
		return nil
	}
	out := w.out
	return &out
}

// from adds what may come first behind a step; false if nothing need come.
func (w *walk) from(at int32) bool {
	if w.seen[at] == w.number {
		return true
	}
	w.seen[at] = w.number
	switch s := &w.program.steps[at]; s.op {
	case takeText:
		w.out.add(s.text[0])
	case takeSet:
		s.set.beginnings(&w.out)
	case repeatSet:
		s.set.beginnings(&w.out)
		return s.min > 0 || w.from(s.x)
	case split:
		return w.from(s.x) && w.from(s.y)
	case atBegin, atEnd, atWord:
		return w.from(s.x)
	case matched:
		return false
	}
	return true
}

// begins reports whether every match of the tree begins where the text does.
func begins(t *syntax.Regexp) bool {
	switch t.Op {
	case syntax.OpBeginText:
		return true
	case syntax.OpCapture, syntax.OpPlus:
		return begins(t.Sub[0])
	case syntax.OpConcat:
		return begins(t.Sub[0])
	case syntax.OpAlternate:
		return !slices.ContainsFunc(t.Sub, func(s *syntax.Regexp) bool { return !begins(s) })
	}
	return false
}

// size is how many steps a tree is worth: what is repeated counts as often as it may be.
func size(t *syntax.Regexp) int {
	sum := 0
	for _, sub := range t.Sub {
		sum += size(sub)
	}
	switch t.Op {
	case syntax.OpLiteral:
		sum = len(t.Rune)
	case syntax.OpCapture:
		sum += 2
	case syntax.OpAlternate:
		sum += len(t.Sub) - 1
	case syntax.OpRepeat:
		if t.Max < 0 {
			sum = max(t.Min, 1)*sum + 1
		} else {
			sum = t.Min*sum + (t.Max-t.Min)*(sum+1)
		}
	case syntax.OpConcat:
	default:
		sum++
	}
	return min(sum, 2*maxProgram)
}
