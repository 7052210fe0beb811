package main

import (
	"cmp"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"path/filepath"
	"slices"
	"text/tabwriter"

	"gatepost/gateway/trial"
	"gatepost/policy"
)

// How weights are fitted.
const (
	quarantine = 8.0 // where messages are held by the shipped policy
	above      = 0.7 // how far beyond it spam should be
	below      = 1.0 // how far below it ham should stay
	pull       = 3.0 // towards the shipped weight, as so many messages: what few of them show moves little
	most       = 2.0 // times the shipped weight
	fitRounds  = 400
	fitRate    = 0.2
)

// prices are what an error costs by the name of the source; one missed spam costs 1.
func prices() map[string]float64 {
	return map[string]float64{"easy ham 2002": 10, "list ham 2019-26": 10, "hard ham 2002": 8, "spam 2002": 1, "phish 2019-24": 1.5}
}

// A row is one judged message: the findings that have a weight, as multiples of their shipped weights, by their codes.
type row struct {
	set   string
	spam  bool
	ruled bool // a rule holds it, whatever its score
	price float64
	codes []int
	times []float64
}

// A book of rows numbers the findings.
type book struct {
	rows    []row
	codes   []string
	shipped []float64
	number  map[string]int
}

// add notes what was found in cases.
func (k *book) add(cases []trial.Case) []row {
	first := len(k.rows)
	for _, c := range cases {
		r := row{set: c.Set, spam: c.Spam, price: prices()[c.Set], ruled: c.Ruled()}
		for code, w := range sums(c) {
			i, ok := k.number[code]
			if !ok {
				i = len(k.codes)
				k.number[code] = i
				k.codes, k.shipped = append(k.codes, code), append(k.shipped, w)
			}
			r.codes, r.times = append(r.codes, i), append(r.times, w/k.shipped[i])
		}
		k.rows = append(k.rows, r)
	}
	return k.rows[first:]
}

// weights fits the weights of the shipped policy on the halves that are learnt from, shows what would change, and what
// that would do to the halves that are judged. The mail to fit on is judged untrained, and by two models, each of which
// learnt from one quarter and judges another.
func (b *bench) weights() error {
	k := &book{number: map[string]int{}}
	quarter := func(m sample) int { return m.half + 2*(int(crc32.ChecksumIEEE([]byte(m.name))>>9)&1) }
	for _, trained := range []int{-1, 0, 2} { // the quarter that is learnt from
		g, err := b.taught(func(m sample) bool { return quarter(m) == trained })
		if err != nil {
			return err
		}
		cases, err := g.judge(b.pick(func(m sample) bool { return m.half == 0 && quarter(m) != trained }))
		if err != nil {
			return err
		}
		k.add(cases)
	}
	known := len(k.codes)
	fitted := descend(k.rows, k.shipped)
	k.print(b.out, fitted)
	fmt.Fprintln(b.out, "\nThe other halves, held or worse, by these weights:")
	t := b.table("")
	for _, trained := range []bool{false, true} {
		g, err := b.taught(func(m sample) bool { return trained && m.half == 0 })
		if err != nil {
			return err
		}
		cases, err := g.judge(b.judged())
		if err != nil {
			return err
		}
		rows := k.add(cases)
		title := map[bool]string{false: "untrained", true: "trained"}[trained]
		t.row(title+", shipped", "", heldBy(rows, k.shipped))
		t.row(title+", fitted", "", heldBy(rows, slices.Concat(fitted, k.shipped[known:])))
		known, fitted = len(k.codes), slices.Concat(fitted, k.shipped[known:])
	}
	t.flush()
	return nil
}

// taught is the program, taught the mail for which want says so.
func (b *bench) taught(want func(sample) bool) (*gatepost, error) {
	g, err := newGatepost(b.binary, filepath.Join(b.work, "gatepost"), b.names)
	if err != nil {
		return nil, err
	}
	if mail := b.pick(want); len(mail) > 0 {
		err = g.train(mail)
	}
	return g, err
}

// print shows the weights, those first that change most.
func (k *book) print(out io.Writer, fitted []float64) {
	hits := make([][2]int, len(k.codes))
	for _, r := range k.rows {
		for _, c := range r.codes {
			if r.spam {
				hits[c][1]++
			} else {
				hits[c][0]++
			}
		}
	}
	order := make([]int, len(k.codes))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Compare(math.Abs(fitted[b]-k.shipped[b]), math.Abs(fitted[a]-k.shipped[a]))
	})
	fmt.Fprintln(out, "Weights, as shipped and as this mail would have them (what changes most first):")
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "shipped\tfitted\tham\tspam\tfinding\t")
	for _, i := range order {
		fmt.Fprintf(t, "%.2f\t%.2f\t%d\t%d\t%s\t\n", k.shipped[i], fitted[i], hits[i][0], hits[i][1], k.codes[i])
	}
	t.Flush()
}

// score is what a message gets by weights.
func (r *row) score(w []float64) (sum float64) {
	for k, i := range r.codes {
		sum += w[i] * r.times[k]
	}
	return sum
}

// heldBy is the share of each set that weights would hold.
func heldBy(rows []row, w []float64) map[string]float64 {
	hit, all := map[string]int{}, map[string]int{}
	for _, r := range rows {
		all[r.set]++
		if r.ruled || r.score(w) >= quarantine-1e-9 {
			hit[r.set]++
		}
	}
	share := map[string]float64{}
	for name, n := range all {
		share[name] = 100 * float64(hit[name]) / float64(n)
	}
	return share
}

// sums are the weights of a case's findings by code, in points.
func sums(c trial.Case) map[string]float64 {
	m := map[string]float64{}
	for _, f := range c.Result.Findings {
		if f.Weight != 0 {
			m[f.Code] += float64(f.Weight) / float64(policy.PointsOf(1))
		}
	}
	return m
}

// descend moves the weights so that spam comes to lie above the threshold and ham below it, each by a margin. A weight
// keeps its sign.
func descend(rows []row, shipped []float64) []float64 {
	w := slices.Clone(shipped)
	past := make([]float64, len(w))
	for range fitRounds {
		slope := make([]float64, len(w))
		for _, r := range rows {
			score := r.score(w)
			var g float64
			if r.spam {
				g = -r.price * logistic(quarantine+above-score)
			} else {
				g = r.price * logistic(score-quarantine+below)
			}
			for k, i := range r.codes {
				slope[i] += g * r.times[k]
			}
		}
		for i := range w {
			d := slope[i] + pull*(w[i]-shipped[i])
			past[i] += d * d
			w[i] -= fitRate * d / (math.Sqrt(past[i]) + 1e-9)
			lo, hi := min(0, most*shipped[i]), max(0, most*shipped[i])
			w[i] = min(max(w[i], lo), hi)
		}
	}
	return w
}

func logistic(z float64) float64 { return 1 / (1 + math.Exp(-z)) }
