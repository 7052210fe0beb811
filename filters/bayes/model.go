package bayes

import (
	"cmp"
	"math"
	"slices"
)

// A Model is what was learnt from lessons: a weight for each token, and how scores become probabilities. It is
// immutable, and the same lessons give the same model, in whatever order they were taught.
type Model struct {
	seed     Seed
	spam     int // lessons it was made of
	ham      int
	bias     float32
	slope    float32 // of the calibration, with offset
	offset   float32
	familiar float32  // which part of a text's tokens is known, of most messages that it was not taught
	keys     []uint32 // open addressing; a power of two
	weights  []float32
	zero     float32 // weight of the token 0, which marks free slots
	twins    []twin
	size     int // tokens with a weight
}

// Lessons is how many messages of either kind the model was made of.
func (m *Model) Lessons() (spam, ham int) { return m.spam, m.ham }

// Size is how many tokens have a weight.
func (m *Model) Size() int { return m.size }

// Bytes is how much memory the model takes.
func (m *Model) Bytes() int { return 8*len(m.keys) + (2*bins+2)*len(m.twins) }

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

// score adds up the weights of a message's tokens, each group apart. Long messages are no stronger than short ones, and
// what was never taught makes a score weaker.
func (m *Model) score(tokens []uint32) float64 {
	v := view{bias: float64(m.bias)}
	for _, t := range tokens {
		w := m.weight(t)
		v.sums[t&groupBits] += float64(w)
		if t&groupBits == ofText {
			v.texts++
			if w != 0 {
				v.known++
			}
		}
	}
	s := scales(tokens)
	for i := range v.sums {
		v.sums[i] *= float64(s[i])
	}
	return v.score(float64(m.familiar))
}

// A view is what a model sees in a message.
type view struct {
	bias  float64
	sums  [groups]float64 // of the weights
	texts int             // tokens of the text
	known int             // those among them that have a weight
}

// share is how much of the text a model knows. Where there is hardly any text, it is supposed to be as much as usual.
func (v *view) share(usual float64) float64 {
	const supposed = 10
	return (float64(v.known) + supposed*usual) / (float64(v.texts) + supposed)
}

// score is what a model thinks that usually knows as much of a text. How a message is built says much of those who
// built it, and nothing of strangers: it counts for spam only as far as the words are known, and not much further than
// they and the names say so too.
func (v *view) score(usual float64) float64 {
	said := v.sums[ofText] + v.sums[ofSubject] + v.sums[ofNames]
	built := v.sums[ofForm] + v.sums[ofSource]
	if built > 0 {
		if k := v.share(usual) / (strange * usual); k < 1 {
			built *= k * k
		}
		built = min(built, 1+max(said, 0))
	}
	return v.bias + said + built
}

// strange is below which part of what a model usually knows of a text a message is strange to it.
const strange = 0.8

// scales are by what the sums of the weights of the tokens of each group are multiplied.
func scales(tokens []uint32) (s [groups]float32) {
	var n [groups]int
	for _, v := range tokens {
		n[v&groupBits]++
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
		w := m.weight(v) * scale[v&groupBits]
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
