package rules

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"

	"gatepost/rules/conf"
)

// A Rule is what a pack says about one thing that a message may be.
type Rule struct {
	Name    string
	Pos     conf.Pos // where it is written
	English string   // what is the matter when it is found, in one sentence
	Chinese string   // the same in Simplified Chinese
	Weight  float64  // points that the policy adds, unless it says otherwise
}

// A Set is rules compiled together. It is immutable and safe for concurrent use.
type Set struct {
	rules    []Rule
	asks     []condition // of rules, in their order
	places   map[string]int
	patterns []pattern
	words    int        // that are looked for, in all finders
	finders  []*finder  // by place
	direct   [][]direct // by place: the patterns that have no fixed texts to look for
	users    [][]int32  // by pattern: the rules that ask for it
	notes    []conf.Problem
	byKey    map[string]int32 // while compiling
	share    *sharer          // as long
	madeOf   [sha256.Size]byte
	scratch  sync.Pool // *matcher
}

// Rules lists the rules in the order of packs and files.
func (s *Set) Rules() []Rule { return slices.Clone(s.rules) }

// Notes are no problems: they say which patterns of a site's packs slow every message, and why.
func (s *Set) Notes() []conf.Problem { return conf.Sorted(slices.Clone(s.notes)) }

// placeSet is a set of places by number.
type placeSet [maxPlaces / 64]uint64

// maxPlaces bounds the places that all rules together may name.
const maxPlaces = 256

func (p *placeSet) add(n int)      { p[n/64] |= 1 << (n % 64) }
func (p *placeSet) has(n int) bool { return p[n/64]&(1<<(n%64)) != 0 }

// A condition is a rule or a part of one, compiled. All of its parts must hold.
type condition struct {
	match []int32 // patterns
	least int
	all   []condition
	any   []condition
	not   []condition
}

// The bounds of a set.
const (
	maxRules    = 5000
	maxPatterns = 50_000
	maxNesting  = 4
)

// A Pack is one file of rules.
type Pack struct {
	File string
	Data []byte
}

// Again is Compile, but gives s back if it was made of the very same packs; s may be nil.
func (s *Set) Again(packs ...Pack) (*Set, []conf.Problem) {
	if s != nil && s.madeOf == sumOf(packs) {
		return s, nil
	}
	return Compile(packs...)
}

// sumOf is a sum of the names and the octets of packs, in their order.
func sumOf(packs []Pack) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, p := range packs {
		fmt.Fprintf(h, "%d %d %s", len(p.File), len(p.Data), p.File)
		h.Write(p.Data)
	}
	h.Sum(sum[:0])
	return sum
}

// Compile compiles packs and checks every rule's hits and misses. A rule of a later pack takes the place of a rule of the
// same name in an earlier one; within one pack names are unique. There is a Set only if there are no problems.
func Compile(packs ...Pack) (*Set, []conf.Problem) {
	var docs []*ruleDoc
	var problems []conf.Problem
	at := map[string]int{}
	for _, p := range packs {
		var doc packDoc
		if found := conf.Decode(p.File, p.Data, &doc); len(found) > 0 {
			problems = append(problems, found...)
			continue
		}
		if doc.Version != 1 {
			problems = append(problems, doc.Node.Key("version").Problemf("this program reads version 1"))
		}
		for i := range doc.Rules {
			r := &doc.Rules[i]
			old, twice := at[r.Name]
			switch {
			case !twice:
				at[r.Name] = len(docs)
				docs = append(docs, r)
			case docs[old].Node.Pos().File == p.File:
				problems = append(problems, r.Node.Key("name").Problemf("%s was already given at line %d", r.describe(), docs[old].Node.Pos().Line))
			default:
				docs[old] = r
			}
		}
	}
	if len(docs) > maxRules {
		problems = append(problems, conf.Problem{Pos: docs[maxRules].Node.Pos(), Message: fmt.Sprintf("there are %d rules; the most is %d", len(docs), maxRules)})
	}
	if len(problems) > 0 {
		return nil, conf.Sorted(problems)
	}
	s, problems := build(docs)
	if len(problems) == 0 {
		problems = s.checkExamples(docs)
	}
	if len(problems) > 0 {
		return nil, conf.Sorted(problems)
	}
	s.madeOf = sumOf(packs)
	return s, nil
}

// build compiles rules that were read.
func build(docs []*ruleDoc) (*Set, []conf.Problem) {
	s := &Set{places: map[string]int{}, byKey: map[string]int32{}, share: newSharer()}
	var problems []conf.Problem
	for _, r := range docs {
		in, found := atPlaces(r.Node, r.In)
		problems = append(problems, found...)
		c, found := s.condition(conditions{Node: r.Node, In: r.In, Match: r.Match, Least: r.Least, Exact: r.Exact, All: r.All, Any: r.Any, Not: r.Not}, in, 0)
		problems = append(problems, found...)
		if len(found) == 0 && !c.positive() {
			problems = append(problems, r.Node.Problemf("%s asks for nothing: it needs match, all or any", r.describe()))
		}
		s.rules = append(s.rules, Rule{Name: r.Name, Pos: r.Node.Pos(), English: r.Why.English, Chinese: r.Why.Chinese, Weight: r.Weight})
		s.asks = append(s.asks, c)
		if len(s.patterns) > maxPatterns {
			return nil, append(problems, r.Node.Problemf("there are more than %d patterns", maxPatterns))
		}
	}
	if len(problems) == 0 {
		s.link()
	}
	s.byKey, s.share = nil, nil
	return s, problems
}

// condition compiles one condition; in is where it looks if it does not say.
func (s *Set) condition(d conditions, in []string, depth int) (condition, []conf.Problem) {
	var problems []conf.Problem
	if depth > maxNesting {
		return condition{}, []conf.Problem{d.Node.Problemf("conditions are nested more than %d deep", maxNesting)}
	}
	if len(d.In) > 0 && depth > 0 {
		in, problems = atPlaces(d.Node, d.In)
	}
	if len(problems) > 0 {
		return condition{}, problems
	}
	c := condition{least: max(d.Least, 1)}
	for _, t := range d.Match {
		n, problem := s.pattern(t, in, d.Exact)
		if problem != nil {
			problems = append(problems, *problem)
			continue
		}
		if !slices.Contains(c.match, n) {
			c.match = append(c.match, n)
		}
	}
	if len(d.Match) > 0 && c.least > len(c.match) && len(problems) == 0 {
		problems = append(problems, d.Node.Key("at_least").Problemf("%d of %d patterns can never be there", c.least, len(c.match)))
	}
	for _, sub := range []struct {
		from []conditions
		to   *[]condition
	}{{d.All, &c.all}, {d.Any, &c.any}, {d.Not, &c.not}} {
		for _, one := range sub.from {
			k, found := s.condition(one, in, depth+1)
			problems = append(problems, found...)
			*sub.to = append(*sub.to, k)
		}
	}
	return c, problems
}

// positive reports whether something must be there for the condition to hold.
func (c *condition) positive() bool {
	if len(c.match) > 0 || slices.ContainsFunc(c.all, func(k condition) bool { return k.positive() }) {
		return true
	}
	return len(c.any) > 0 && !slices.ContainsFunc(c.any, func(k condition) bool { return !k.positive() })
}

// pattern compiles a pattern for the places in, once for all rules that have it.
func (s *Set) pattern(t textDoc, in []string, exact bool) (int32, *conf.Problem) {
	key := fmt.Sprintf("%t\x00%s\x00%s", exact, strings.Join(in, "\x00"), t.Value)
	if n, ok := s.byKey[key]; ok {
		return n, nil
	}
	fail := func(format string, args ...any) (int32, *conf.Problem) {
		p := t.Node.Problemf(format, args...)
		return 0, &p
	}
	p, err := newPattern(t.Value, exact)
	if err != nil {
		return fail("%v", err)
	}
	for _, name := range in {
		if !p.local() && !shortPlace(name) {
			if exact {
				return fail("exact patterns are looked for only in short places, and %s is long", name)
			}
			if p.unbound != nil {
				return fail("%v; only short places do without, and %s is long", p.unbound, name)
			}
			return fail("a pattern for %s needs a fixed text of at least %d letters, and may not ask for the beginning or end: add a word that is always there", name, minLiteral)
		}
		n, ok := s.places[name]
		if !ok {
			if n = len(s.places); n == maxPlaces {
				return fail("the rules name more than %d places", maxPlaces)
			}
			s.places[name] = n
		}
		p.places.add(n)
	}
	if p.needs.cost() > dear && !strings.HasPrefix(t.Node.Pos().File, shippedAt) {
		s.notes = append(s.notes, t.Node.Problemf("%s", p.needs.complaint()))
	}
	if p.program != nil {
		s.share.program(p.program)
	}
	s.patterns = append(s.patterns, *p)
	n := int32(len(s.patterns) - 1)
	s.byKey[key] = n
	return n, nil
}

// link makes the finders.
func (s *Set) link() {
	var words []string
	numbers := map[string]int32{}
	for n := range s.patterns {
		p := &s.patterns[n]
		for _, w := range p.needs.words {
			at, ok := numbers[w]
			if !ok {
				at = int32(len(words))
				numbers[w] = at
				words = append(words, w)
			}
			p.words = append(p.words, at)
		}
	}
	s.patterns = slices.Clone(s.patterns)
	for n := range s.patterns {
		s.patterns[n].needs.words = nil // their numbers tell the same
	}
	list := lookFor(words)
	s.finders, s.direct = make([]*finder, len(s.places)), make([][]direct, len(s.places))
	var wide *finder
	for at, words := range s.wordsAt(len(list)) {
		for n := range s.patterns {
			if p := &s.patterns[n]; p.places.has(at) && !p.local() {
				s.direct[at] = append(s.direct[at], direct{int32(n), p.exact, p.holds})
			}
		}
		if words*10 < len(list)*9 {
			s.finders[at] = s.finder(list, func(p *pattern) bool { return p.places.has(at) })
			continue
		}
		// Nearly all words are looked for here, as in subject and body: once is enough, and stays nearer to the processor.
		if wide == nil {
			wide = s.finder(list, func(*pattern) bool { return true })
		}
		s.finders[at] = wide
	}
	s.users = make([][]int32, len(s.patterns))
	for n := range s.asks {
		s.asks[n].each(func(pattern int32) {
			if list := s.users[pattern]; len(list) == 0 || list[len(list)-1] != int32(n) {
				s.users[pattern] = append(list, int32(n))
			}
		})
	}
	s.words = len(words)
	s.scratch.New = func() any { return newMatcher(s) }
}

// wordsAt is how many of so many words are looked for at each place.
func (s *Set) wordsAt(words int) []int {
	counts := make([]int, len(s.places))
	for at := range counts {
		there := make([]bool, words)
		for n := range s.patterns {
			if p := &s.patterns[n]; p.places.has(at) {
				for _, w := range p.words {
					if !there[w] {
						there[w] = true
						counts[at]++
					}
				}
			}
		}
	}
	return counts
}

// finder makes the finder of some patterns out of the words of all.
func (s *Set) finder(all []lookedFor, asked func(*pattern) bool) *finder {
	local := make([]int32, len(all)) // by word: its number in this finder, and one more; 0: it is not there yet
	var words []lookedFor
	var numbers []int32
	var phrases, expressions [][2]int32
	for n := range s.patterns {
		p := &s.patterns[n]
		if !asked(p) {
			continue
		}
		for _, w := range p.words {
			if local[w] == 0 {
				words, numbers = append(words, all[w]), append(numbers, w)
				local[w] = int32(len(words))
			}
			pair := [2]int32{local[w] - 1, int32(n)}
			if p.phrase != "" {
				phrases = append(phrases, pair)
			} else {
				expressions = append(expressions, pair)
			}
		}
	}
	f := newFinder(words)
	f.own(numbers, phrases, expressions)
	return f
}

// each calls do with the patterns of which one must be there for the condition to hold.
func (c *condition) each(do func(pattern int32)) {
	for _, n := range c.match {
		do(n)
	}
	for _, list := range [...][]condition{c.all, c.any} {
		for i := range list {
			list[i].each(do)
		}
	}
}

// Places lists the places that rules look into.
func (s *Set) Places() []string {
	names := make([]string, 0, len(s.places))
	for name := range s.places {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
