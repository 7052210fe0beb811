package rules

import (
	"unicode/utf8"
)

// A runner tries programs at places of a text. It takes the choices of a program in their order and goes back to the last
// one when it fails, which is quick where most places fail at once, but may take long. Where it does, it remembers what
// failed: then the work is at most the steps of the program times the octets of the text.
type runner struct {
	stack  []choice
	work   int // steps done
	failed []uint64
	from   int // failed holds a bit for each step at each octet from here on…
	width  int // …of that many
	until  int // places before this are tried with failed; 0: none
}

// A choice is where to go on if what was chosen fails.
type choice struct {
	at   int32 // the step
	pos  int32
	low  int32 // of a repetition that gives back: the least place to go on at
	left int32 // of a lazy repetition: how many more it may take
	kind choiceKind
}

type choiceKind uint8

const (
	other    choiceKind = iota // go on at step at
	giveBack                   // the repetition at gives letters back
	takeMore                   // the repetition at takes one more
)

// The answers of run that are no place.
const (
	noMatch = -1
	tooLong = -2
)

// patience is how many steps a program of that many steps may take at one place before failures are remembered.
func patience(steps int) int { return 256 + 4*steps }

// forget ends the memory of failures: what comes is another program or text.
func (r *runner) forget() { r.until = 0 }

// match is the end of the match of p that begins at start; noMatch, or tooLong if it would take more than most steps. A
// match has at most reach octets. Places of one text must be given in their order, and forget be called before the first.
func (r *runner) match(p *program, reach int, text []byte, start, most int) int {
	if start >= r.until {
		end := r.run(p, text, start, min(patience(len(p.steps)), most))
		if end != tooLong || most <= patience(len(p.steps)) {
			return end
		}
		r.remember(p, reach, len(text), start)
	}
	return r.run(p, text, start, most)
}

// remember begins to remember what fails at the places from start on.
func (r *runner) remember(p *program, reach, end, start int) {
	const places = 1 << 10
	r.from, r.until = start, start+places
	r.width = min(end-start, places+reach) + 1
	words := (r.width*len(p.steps) + 63) / 64
	r.work += words / 8
	if cap(r.failed) < words {
		r.failed = make([]uint64, words)
		return
	}
	r.failed = r.failed[:words]
	clear(r.failed)
}

// again reports whether a step was already tried at pos, and notes that it is.
func (r *runner) again(at int32, pos int) bool {
	n := int(at)*r.width + pos - r.from
	bit := uint64(1) << (n % 64)
	if r.failed[n/64]&bit != 0 {
		return true
	}
	r.failed[n/64] |= bit
	return false
}

// run is match, with or without memory.
func (r *runner) run(p *program, text []byte, pos, most int) int {
	at := p.start
	r.stack = r.stack[:0]
	memory := pos < r.until
	last := r.work + most
	for ok := true; ok; ok = r.back(p, text, &at, &pos) {
		for going := true; going; {
			if r.work++; r.work > last {
				return tooLong
			}
			if memory && r.again(at, pos) {
				break
			}
			s := &p.steps[at]
			going = false
			switch s.op {
			case takeText:
				if end := pos + len(s.text); end <= len(text) && string(text[pos:end]) == s.text {
					at, pos, going = s.x, end, true
				}
			case takeSet:
				if n := s.set.width(text, pos); n > 0 {
					at, pos, going = s.x, pos+n, true
				}
			case repeatSet:
				if memory && s.max < 0 {
					at, pos, going = r.oneMore(at, s, text, pos)
				} else {
					at, pos, going = r.repeat(at, s, text, pos)
				}
			case split:
				going = true
				switch {
				case !s.peek[0].admits(text, pos):
					at = s.y
				case s.peek[1].admits(text, pos):
					r.stack = append(r.stack, choice{at: s.y, pos: int32(pos)})
					fallthrough
				default:
					at = s.x
				}
			case atBegin:
				at, going = s.x, pos == 0
			case atEnd:
				at, going = s.x, pos == len(text)
			case atWord:
				at, going = s.x, (pos > 0 && wordy(text[pos-1])) != (pos < len(text) && wordy(text[pos]))
			case matched:
				return pos
			}
		}
	}
	if r.work > last {
		return tooLong // long repetitions take many steps at once
	}
	return noMatch
}

// oneMore takes one letter more of a repetition without end, or none: so that what was tried at a place is not again.
func (r *runner) oneMore(at int32, s *step, text []byte, pos int) (int32, int, bool) {
	n := s.set.width(text, pos)
	switch {
	case n == 0:
		return s.x, pos, true
	case s.lazy:
		r.stack = append(r.stack, choice{at: at, pos: int32(pos + n)})
		return s.x, pos, true
	}
	r.stack = append(r.stack, choice{at: s.x, pos: int32(pos)})
	return at, pos + n, true
}

// repeat takes as many letters as it must, and may if it is not lazy, and notes what else could be.
func (r *runner) repeat(at int32, s *step, text []byte, pos int) (int32, int, bool) {
	most := s.min
	if !s.lazy {
		most = s.max
	}
	low := pos
	for n := int32(0); n != most; n++ {
		if n == s.min {
			low = pos
		}
		w := 1
		if pos >= len(text) || text[pos] >= utf8.RuneSelf || !s.set.ascii.has(text[pos]) {
			w = s.set.width(text, pos)
		}
		if w == 0 {
			if n < s.min {
				return at, pos, false
			}
			break
		}
		pos += w
	}
	if most == s.min {
		low = pos
	}
	r.work += (pos - low) / 4
	if s.lazy {
		return r.takeMore(at, s, text, pos, s.max-s.min)
	}
	return r.giveBack(at, s, text, pos, low)
}

// giveBack goes on behind a repetition at pos or, where that cannot be, at a place before it that is not before low.
func (r *runner) giveBack(at int32, s *step, text []byte, pos, low int) (int32, int, bool) {
	for ; ; pos = before(text, pos) {
		if s.peek[0].admits(text, pos) {
			break
		}
		if pos <= low {
			return at, pos, false
		}
		r.work++
	}
	if pos > low {
		r.stack = append(r.stack, choice{at: at, pos: int32(pos), low: int32(low), kind: giveBack})
	}
	return s.x, pos, true
}

// takeMore goes on behind a repetition that is lazy at pos or, where what comes next cannot begin there, behind as few letters
// more as it can, of which left are allowed; negative: any number.
func (r *runner) takeMore(at int32, s *step, text []byte, pos int, left int32) (int32, int, bool) {
	for ; !s.peek[0].admits(text, pos); left-- {
		w := s.set.width(text, pos)
		if w == 0 || left == 0 {
			return at, pos, false
		}
		pos += w
		r.work++
	}
	if left != 0 {
		r.stack = append(r.stack, choice{at: at, pos: int32(pos), left: left, kind: takeMore})
	}
	return s.x, pos, true
}

// before is where the letter before pos begins.
func before(text []byte, pos int) int {
	if text[pos-1] < utf8.RuneSelf {
		return pos - 1
	}
	_, n := utf8.DecodeLastRune(text[:pos])
	return pos - n
}

// back returns to the last choice; false if there is none.
func (r *runner) back(p *program, text []byte, at *int32, pos *int) bool {
	for len(r.stack) > 0 {
		c := r.stack[len(r.stack)-1]
		r.stack = r.stack[:len(r.stack)-1]
		s := &p.steps[c.at]
		ok := false
		switch c.kind {
		case other:
			*at, *pos = c.at, int(c.pos)
			return true
		case giveBack:
			*at, *pos, ok = r.giveBack(c.at, s, text, before(text, int(c.pos)), int(c.low))
		case takeMore:
			if w := s.set.width(text, int(c.pos)); w > 0 {
				*at, *pos, ok = r.takeMore(c.at, s, text, int(c.pos)+w, c.left-1)
			}
		}
		if ok {
			return true
		}
	}
	return false
}
