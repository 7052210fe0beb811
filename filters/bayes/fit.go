package bayes

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
)

// How a model is fitted; measured, see README.md.
const (
	orders  = 5    // in which all lessons are gone through; the model is the mean of what each leads to
	rounds  = 10   // through all lessons, of each order
	rate    = 0.5  // of learning, in the manner of AdaGrad
	decay   = 4e-5 // of every weight at each step
	seldom  = 2    // lessons that a token must be in: what one message alone says is never learnt
	heavy   = 4.0  // the most that one token may weigh
	folds   = 4    // parts for calibration, each judged by a model of the others
	fewFold = 8    // lessons of either kind without which there is nothing to calibrate by
)

// Fit makes a model of lessons. It takes about 5 ms of one core for each hundred lessons, and ends early with ctx.
// The order of lessons does not matter; their Tokens must ascend, as Unpack gives them.
func Fit(ctx context.Context, seed Seed, lessons []Lesson) (*Model, error) {
	m := &Model{seed: seed, slope: 1, familiar: 0.5}
	for _, l := range lessons {
		if l.Spam {
			m.spam++
		} else {
			m.ham++
		}
	}
	lessons = slices.Clone(lessons)
	slices.SortStableFunc(lessons, compare)
	for _, l := range lessons[:min(len(lessons), maxTwins)] {
		if s, ok := sketchOf(l.Tokens); ok {
			m.twins = append(m.twins, twin{l.Spam, s})
		}
	}
	t := newTable(lessons)
	if min(m.spam, m.ham) >= fewFold {
		held, err := crossed(ctx, t)
		if err != nil {
			return nil, err
		}
		m.familiar = float32(familiar(held))
		scores := make([]float64, len(held))
		for i := range held {
			scores[i] = held[i].score(float64(m.familiar))
		}
		slope, offset := calibrate(scores, t.spam)
		m.slope, m.offset = float32(slope), float32(offset)
	}
	f := newFit(len(t.keys))
	if err := f.run(ctx, t, func(int) bool { return true }); err != nil {
		return nil, err
	}
	m.bias = float32(f.bias)
	m.build(t.keys, f.weights)
	return m, nil
}

// compare orders lessons by their content.
func compare(a, b Lesson) int {
	if a.Spam != b.Spam {
		if a.Spam {
			return -1
		}
		return 1
	}
	return slices.Compare(a.Tokens, b.Tokens)
}

// A table is the lessons with their tokens numbered.
type table struct {
	keys []uint32 // tokens in at least seldom lessons, ascending
	rows []row
	spam []bool
}

// A row is the tokens of one lesson.
type row struct {
	numbers [groups][]int32 // of those that are not too seldom
	scale   [groups]float32
	texts   int // tokens of the text, those too seldom among them
	fold    int
}

// newTable numbers the tokens that are not too seldom.
func newTable(lessons []Lesson) *table {
	n := 0
	for _, l := range lessons {
		n += len(l.Tokens)
	}
	all := make([]uint32, 0, n)
	for _, l := range lessons {
		all = append(all, l.Tokens...)
	}
	slices.Sort(all)
	t := &table{}
	for i := 0; i < len(all); {
		j := i + 1
		for j < len(all) && all[j] == all[i] {
			j++
		}
		if j-i >= seldom {
			t.keys = append(t.keys, all[i])
		}
		i = j
	}
	for _, l := range lessons {
		t.rows = append(t.rows, row{t.number(l.Tokens), scales(l.Tokens), texts(l.Tokens), part(l.Tokens)})
		t.spam = append(t.spam, l.Spam)
	}
	return t
}

// part is the fold of a lesson. Messages that are nearly the same mostly share their smallest token, so that none is
// judged by its own twin.
func part(tokens []uint32) int {
	if len(tokens) == 0 {
		return 0
	}
	return int(finish(uint64(tokens[0])) % folds)
}

// texts is how many tokens are of the text.
func texts(tokens []uint32) (n int) {
	for _, v := range tokens {
		if v&groupBits == ofText {
			n++
		}
	}
	return n
}

// number finds the places of ascending tokens among the keys.
func (t *table) number(tokens []uint32) (n [groups][]int32) {
	n[0] = make([]int32, 0, len(tokens))
	from := 0
	for _, v := range tokens {
		i, ok := slices.BinarySearch(t.keys[from:], v)
		from += i
		if ok {
			n[v&groupBits] = append(n[v&groupBits], int32(from))
		}
	}
	n[0] = slices.Clip(n[0])
	return n
}

// A fit is a model in the making.
type fit struct {
	weights []float32
	past    []float32 // sums of squared gradients
	bias    float64
	before  float64 // likewise, of the bias
}

func newFit(n int) *fit {
	return &fit{weights: make([]float32, n), past: make([]float32, n), before: 1e-8}
}

// run goes through the lessons for which use says so. What comes first teaches most, so a single order would be a
// matter of luck; the orders depend on nothing but the number of the lessons.
func (f *fit) run(ctx context.Context, t *table, use func(int) bool) error {
	var order []int
	for i := range t.rows {
		if use(i) {
			order = append(order, i)
		}
	}
	dice := rand.New(rand.NewPCG(1, 2))
	for range orders {
		one := newFit(len(f.weights))
		for range rounds {
			if err := ctx.Err(); err != nil {
				return err
			}
			dice.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
			for _, i := range order {
				one.step(t.rows[i], t.spam[i])
			}
		}
		f.add(one, 1.0/orders)
	}
	return nil
}

// add adds a part of another model in the making.
func (f *fit) add(one *fit, part float32) {
	for i, w := range one.weights {
		f.weights[i] += part * w
	}
	f.bias += float64(part) * one.bias
}

// score is what the model in the making says of a row.
func (f *fit) score(r row) float64 {
	z := f.bias
	for k, numbers := range r.numbers {
		var sum float32
		for _, i := range numbers {
			sum += f.weights[i]
		}
		z += float64(sum * r.scale[k])
	}
	return z
}

// step moves the weights of one lesson towards what it is (logistic regression, AdaGrad).
func (f *fit) step(r row, spam bool) {
	miss := logistic(f.score(r))
	if spam {
		miss--
	}
	for k, numbers := range r.numbers {
		g := float32(miss) * r.scale[k]
		for _, i := range numbers {
			w := f.weights[i]
			d := g + decay*w
			f.past[i] += d * d
			w -= rate * d / (float32(math.Sqrt(float64(f.past[i]))) + 1e-6)
			f.weights[i] = min(max(w, -heavy), heavy)
		}
	}
	f.before += miss * miss
	f.bias -= rate * miss / math.Sqrt(f.before)
}

// view is what the model in the making sees in a row.
func (f *fit) view(r row) view {
	v := view{bias: f.bias, texts: r.texts}
	for k, numbers := range r.numbers {
		var sum float32
		for _, i := range numbers {
			sum += f.weights[i]
			if uint32(k) == ofText && abs(f.weights[i]) > faint {
				v.known++
			}
		}
		v.sums[k] = float64(sum * r.scale[k])
	}
	return v
}

// crossed looks at every lesson with a model that has not seen it.
func crossed(ctx context.Context, t *table) ([]view, error) {
	held := make([]view, len(t.rows))
	for k := range folds {
		f := newFit(len(t.keys))
		if err := f.run(ctx, t, func(i int) bool { return t.rows[i].fold != k }); err != nil {
			return nil, err
		}
		for i, r := range t.rows {
			if r.fold == k {
				held[i] = f.view(r)
			}
		}
	}
	return held, nil
}

// familiar is the median of the parts of their texts that models knew, of those lessons that have any text to speak of.
func familiar(views []view) float64 {
	var parts []float64
	for _, v := range views {
		if v.texts >= 20 {
			parts = append(parts, float64(v.known)/float64(v.texts))
		}
	}
	if len(parts) == 0 {
		return 0.5
	}
	slices.Sort(parts)
	return max(parts[len(parts)/2], 0.05)
}

// calibrate fits slope and offset so that logistic(slope*score+offset) is the probability of spam where spam and ham
// are equally frequent (Platt's scaling with his smoothed targets, by Newton's method). The slope is at most one: where
// lessons can be told apart without an error, as of two lists that have nothing in common, nothing bounds it from above,
// and mail of a third kind would be judged with a certainty that nobody has. For the same reason the offset adds at most
// one: a message that says nothing to the model is not called likely.
func calibrate(scores []float64, spam []bool) (slope, offset float64) {
	slope, offset = newton(scores, spam, 1, false)
	if slope > 1 {
		_, offset = newton(scores, spam, 1, true)
		slope = 1
	}
	return max(slope, 0.1), min(max(offset, -3), 1)
}

// newton is the descent from a slope, which may be fixed.
func newton(scores []float64, spam []bool, from float64, fixed bool) (slope, offset float64) {
	n := [2]float64{}
	for _, s := range spam {
		n[index(s)]++
	}
	target := [2]float64{1 / (n[0] + 2), (n[1] + 1) / (n[1] + 2)}
	slope = from
	for range 50 {
		var g0, g1, h00, h01, h11 float64
		for i, z := range scores {
			k := index(spam[i])
			p := logistic(slope*z + offset)
			w := 1 / n[k]
			d := w * (p - target[k])
			v := w*p*(1-p) + 1e-12
			g0, g1 = g0+d*z, g1+d
			h00, h01, h11 = h00+v*z*z, h01+v*z, h11+v
		}
		h00, h11 = h00+1e-6, h11+1e-6
		if fixed {
			g0, h00, h01 = 0, 1, 0
		}
		det := h00*h11 - h01*h01
		if det <= 0 {
			break
		}
		ds, do := (h11*g0-h01*g1)/det, (h00*g1-h01*g0)/det
		slope, offset = slope-ds, offset-do
		if math.Abs(ds)+math.Abs(do) < 1e-9 {
			break
		}
	}
	return slope, offset
}

func index(spam bool) int {
	if spam {
		return 1
	}
	return 0
}
