package bayes

// A set holds the tokens of one message.
type set struct {
	slots *[setSize]uint32 // 0: free
	zero  bool
}

// setSize is at least twice maxTokens, and a power of two.
const setSize = 1 << 14

// add reports whether v is new. At most maxTokens may be added.
func (s *set) add(v uint32) bool {
	if v == 0 {
		was := s.zero
		s.zero = true
		return !was
	}
	if s.slots == nil {
		s.slots = new([setSize]uint32)
	}
	for i := v % setSize; ; i = (i + 1) % setSize {
		switch s.slots[i] {
		case v:
			return false
		case 0:
			s.slots[i] = v
			return true
		}
	}
}

// clear empties the set for the next message: all of it at once, which costs less than to remember what is taken.
func (s *set) clear() {
	if s.slots != nil {
		clear(s.slots[:])
	}
	s.zero = false
}
