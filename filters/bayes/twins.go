package bayes

import (
	"fmt"
	"math"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// A sketch tells how alike two texts are, without holding either: the tokens of subject and text fall into 64 bins, and of each the
// one with the smallest hash is kept, in 16 bits (Li, Owen and Zhang, One Permutation Hashing, 2012). As many bins as are
// alike, as many of their tokens are. Zero is an empty bin.
type sketch [bins]uint16

const (
	bins      = 64
	enough    = 20   // tokens without which texts are alike by chance
	alike     = 0.5  // from which share of common tokens on two texts are nearly the same
	apart     = 0.15 // how much more alike one kind of twin must be than the other
	firstBins = 10   // that are looked at first,
	firstHits = 2    // and how many of them must be alike: so it is with all but one in a hundred of those who are half alike
	maxTwins  = 50_000
)

// A twin is a lesson that later messages are held beside.
type twin struct {
	spam   bool
	sketch sketch
}

// sketchOf is the sketch of a message's tokens; false if they are too few to say anything.
func sketchOf(tokens []uint32) (s sketch, ok bool) {
	var least [bins]uint32
	n := 0
	for _, v := range tokens {
		if g := v & groupBits; g != ofText && g != ofSubject {
			continue
		}
		n++
		h := finish(uint64(v) * mixer)
		if i, w := h%bins, max(uint32(h>>32), 1); least[i] == 0 || w < least[i] {
			least[i] = w
		}
	}
	for i, w := range least {
		if w != 0 {
			s[i] = max(uint16(w)^uint16(w>>16), 1)
		}
	}
	return s, n >= enough
}

// likeness is the share of tokens that two texts have in common, about.
func (s *sketch) likeness(o *sketch) float64 {
	same, any := 0, 0
	for i, v := range s {
		if v|o[i] != 0 {
			any++
			if v == o[i] {
				same++
			}
		}
	}
	return float64(same) / float64(max(any, 1))
}

// near is how alike the most alike lessons of either kind are to a message; what is less than half alike is nothing.
func (m *Model) near(tokens []uint32) (spam, ham float64) {
	s, ok := sketchOf(tokens)
	if !ok {
		return 0, 0
	}
	for i := range m.twins {
		t := &m.twins[i]
		hits := 0
		for k := range firstBins {
			if s[k] == t.sketch[k] {
				hits++
			}
		}
		if hits < firstHits {
			continue
		}
		switch v := s.likeness(&t.sketch); {
		case v < alike:
		case t.spam:
			spam = max(spam, v)
		default:
			ham = max(ham, v)
		}
	}
	return spam, ham
}

// twin states that a message is nearly the same as one that was taught, if it is like one kind and not like the other.
func (m *Model) twin(tokens []uint32) (filters.Finding, bool) {
	spam, ham := m.near(tokens)
	code, kind, v := "bayes.twin-spam", "spam", spam
	if ham > spam {
		code, kind, v = "bayes.twin-ham", "ham", ham
	}
	if v < alike || math.Abs(spam-ham) < apart {
		return filters.Finding{}, false
	}
	return filters.Finding{
		Code: code, Text: "The message is nearly the same as one that was taught here as " + kind + ".",
		Proof: []filters.Evidence{{Where: "text", What: mail.Printable(fmt.Sprintf("about %.0f %% of the words and pairs of words of both are common to them", 100*v), 200)}},
	}, true
}
