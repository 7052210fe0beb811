package rules

import (
	"context"
	"fmt"
	"slices"

	"gatepost/rules/conf"
)

// checkExamples proves every rule by its hits and misses.
func (s *Set) checkExamples(docs []*ruleDoc) []conf.Problem {
	var problems []conf.Problem
	for n, r := range docs {
		for _, e := range r.Hits {
			if !s.finds(n, r, e) {
				problems = append(problems, e.node.Problemf("%s does not find this example; correct the pattern, or move the example to misses", r.describe()))
			}
		}
		for _, e := range r.Misses {
			if s.finds(n, r, e) {
				problems = append(problems, e.node.Problemf("%s finds this example, and must not; narrow the pattern, or move the example to hits", r.describe()))
			}
		}
	}
	return problems
}

// finds reports whether rule n holds for an example.
func (s *Set) finds(n int, r *ruleDoc, e example) bool {
	texts := e.texts
	if len(texts) == 0 {
		texts = []Text{{Place: placeName(r.In[0]), Content: e.plain}}
	}
	hits, _ := s.Match(context.Background(), texts)
	return slices.ContainsFunc(hits, func(h Hit) bool { return h.Rule == n })
}

// Count says how many examples prove the rules of a pack; for the sentence that a check prints.
func (s *Set) String() string {
	return fmt.Sprintf("%d rules, %d patterns", len(s.rules), len(s.patterns))
}
