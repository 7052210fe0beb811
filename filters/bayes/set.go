package bayes

// A set holds the tokens of one message.
type set struct {
	slots []uint32 // 0: free
	held  []uint32 // places in slots
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
		s.slots = make([]uint32, setSize)
	}
	for i := v % setSize; ; i = (i + 1) % setSize {
		switch s.slots[i] {
		case v:
			return false
		case 0:
			s.slots[i] = v
			s.held = append(s.held, i)
			return true
		}
	}
}

// clear empties the set for the next message.
func (s *set) clear() {
	for _, i := range s.held {
		s.slots[i] = 0
	}
	s.held, s.zero = s.held[:0], false
}
