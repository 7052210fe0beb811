package rules

import "slices"

// A sharer makes the programs of a set have in common what is alike in them: most classes of letters, sets of octets and texts
// stand in many. What it was given may no longer be changed.
type sharer struct {
	octets  map[octets]*octets
	letters map[lettersKey]*letters
	texts   map[string]string
}

// A lettersKey tells classes of letters apart.
type lettersKey struct {
	ascii octets
	far   string
}

func newSharer() *sharer {
	return &sharer{octets: map[octets]*octets{}, letters: map[lettersKey]*letters{}, texts: map[string]string{}}
}

// program shares what a program holds, and gives it no more memory than it needs.
func (s *sharer) program(p *program) {
	p.steps = append(make([]step, 0, len(p.steps)), p.steps...)
	p.first = s.set(p.first)
	for i := range p.steps {
		at := &p.steps[i]
		at.text, at.set = s.text(at.text), s.class(at.set)
		at.peek = [2]*octets{s.set(at.peek[0]), s.set(at.peek[1])}
	}
}

func (s *sharer) set(o *octets) *octets {
	if o == nil {
		return nil
	}
	if _, ok := s.octets[*o]; !ok {
		s.octets[*o] = o
	}
	return s.octets[*o]
}

func (s *sharer) class(l *letters) *letters {
	if l == nil {
		return nil
	}
	key := lettersKey{l.ascii, string(l.far)}
	if _, ok := s.letters[key]; !ok {
		l.far = slices.Clone(l.far)
		s.letters[key] = l
	}
	return s.letters[key]
}

func (s *sharer) text(t string) string {
	if _, ok := s.texts[t]; !ok {
		s.texts[t] = t
	}
	return s.texts[t]
}
