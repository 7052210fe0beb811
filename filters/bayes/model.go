package bayes

import (
	"cmp"
	"math"
	"slices"
)

// A Model is what was learnt from lessons: a weight for each token, and how scores become probabilities. It is
// immutable, and the same lessons give the same model, in whatever order they were taught.
type Model struct {
	seed    Seed
	spam    int // lessons it was made of
	ham     int
	bias    float32
	slope   float32 // of the calibration, with offset
	offset  float32
	keys    []uint32 // open addressing; a power of two
	weights []float32
	zero    float32 // weight of the token 0, which marks free slots
	size    int     // tokens with a weight
}

// Lessons is how many messages of either kind the model was made of.
func (m *Model) Lessons() (spam, ham int) { return m.spam, m.ham }

// Size is how many tokens have a weight.
func (m *Model) Size() int { return m.size }

// Bytes is how much memory the model takes.
func (m *Model) Bytes() int { return 8 * len(m.keys) }

// Seed keys the tokens of the model's lessons.
func (m *Model) Seed() Seed { return m.seed }

// weight is that of one token.
func (m *Model) weight(v uint32) float32 {
	if v == 0 {
		return m.zero
	}
	mask := uint32(len(m.keys) - 1)
	for i := v * 0x9e3779b1 & mask; ; i = (i + 1) & mask {
		switch m.keys[i] {
		case v:
			return m.weights[i]
		case 0:
			return 0
		}
	}
}

// build makes the table of the weights that are not zero, at most maxSize, the strongest.
func (m *Model) build(keys []uint32, weights []float32) {
	place := make([]int, 0, len(keys))
	for i, w := range weights {
		if w > faint || w < -faint {
			place = append(place, i)
		}
	}
	if len(place) > maxSize {
		slices.SortFunc(place, func(a, b int) int {
			return cmp.Or(cmp.Compare(abs(weights[b]), abs(weights[a])), cmp.Compare(keys[a], keys[b]))
		})
		place = place[:maxSize]
	}
	m.keys, m.weights, m.size = make([]uint32, slots(len(place))), make([]float32, slots(len(place))), len(place)
	for _, i := range place {
		m.put(keys[i], weights[i])
	}
}

// slots is the size of a table for n tokens: half of it stays free.
func slots(n int) int {
	size := 2
	for size < 2*n {
		size *= 2
	}
	return size
}

// put adds one weight to the table.
func (m *Model) put(v uint32, w float32) {
	if v == 0 {
		m.zero = w
		return
	}
	mask := uint32(len(m.keys) - 1)
	i := v * 0x9e3779b1 & mask
	for m.keys[i] != 0 && m.keys[i] != v {
		i = (i + 1) & mask
	}
	m.keys[i], m.weights[i] = v, w
}

const (
	// maxSize is the most tokens of a model: with its table at most 16 MiB.
	maxSize = 1 << 20
	// faint is a weight that makes no difference.
	faint = 1e-3
)

func abs(w float32) float32 { return max(w, -w) }

// score adds up the weights of a message's tokens, those of the subject apart. Long messages are no stronger than short
// ones, and what was never taught makes a score weaker.
func (m *Model) score(tokens []uint32) float64 {
	var sum [2]float64
	for _, v := range tokens {
		sum[v&subjectBit] += float64(m.weight(v))
	}
	s := scales(tokens)
	return float64(m.bias) + sum[0]*float64(s[0]) + sum[1]*float64(s[1])
}

// scales are by what the sums of the weights of the tokens are multiplied: of all tokens but the subject's, and of those.
func scales(tokens []uint32) (s [2]float32) {
	var n [2]int
	for _, v := range tokens {
		n[v&subjectBit]++
	}
	for i := range s {
		s[i] = float32(1 / math.Sqrt(float64(max(n[i], 1))))
	}
	return s
}

// Probability is how likely a message with these tokens is spam, were spam and ham equally frequent: the score, on the
// scale that lessons which the model had not seen confirmed.
func (m *Model) Probability(tokens []uint32) float64 {
	return logistic(float64(m.slope)*m.score(tokens) + float64(m.offset))
}

func logistic(z float64) float64 { return 1 / (1 + math.Exp(-z)) }

// strongest are the tokens that speak most for spam, or for ham, the strongest first.
func (m *Model) strongest(tokens []uint32, spam bool, n int) []uint32 {
	type one struct {
		token  uint32
		weight float32
	}
	var list []one
	scale := scales(tokens)
	for _, v := range tokens {
		w := m.weight(v) * scale[v&subjectBit]
		if !spam {
			w = -w
		}
		if w <= 0 || len(list) == n && w <= list[n-1].weight {
			continue
		}
		i, _ := slices.BinarySearchFunc(list, w, func(o one, w float32) int { return cmp.Compare(w, o.weight) })
		list = slices.Insert(list, i, one{v, w})
		list = list[:min(len(list), n)]
	}
	out := make([]uint32, len(list))
	for i, o := range list {
		out[i] = o.token
	}
	return out
}
