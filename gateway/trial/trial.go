package trial

import (
	"cmp"
	"slices"

	"gatepost/policy"
)

// A Case is one judged message of a known kind.
type Case struct {
	Set     string // the mail that it belongs to: "ham", "phish"
	Spam    bool   // it should have been held
	Name    string
	Result  *policy.Result
	Subject string
}

// held reports whether the recipient did not get it.
func (c *Case) held() bool {
	switch c.Result.Action {
	case policy.Quarantine, policy.Reject, policy.Discard:
		return true
	}
	return false
}

// Ruled reports whether a rule held it, whatever its score.
func (c *Case) Ruled() bool {
	return c.held() && slices.ContainsFunc(c.Result.Decided, func(d string) bool {
		return !slices.ContainsFunc(c.Result.Findings, func(f policy.ResultFinding) bool { return f.Code == d })
	})
}

// A Set is how one set of mail fared.
type Set struct {
	Name     string  `json:"name"`
	Spam     bool    `json:"spam"`
	Messages int     `json:"messages"`
	Tagged   int     `json:"tagged"`
	Held     int     `json:"held"` // in the quarantine, or worse
	Refused  int     `json:"refused"`
	Deferred int     `json:"deferred"`
	Share    float64 `json:"held_percent"`
}

// A Step is one point of the operating curve: what would be held if the threshold of the quarantine were there.
type Step struct {
	Threshold policy.Points `json:"threshold"`
	Percent   []float64     `json:"held_percent"` // in the order of the sets
}

// A Worth is what one finding tells about the mail of a trial.
type Worth struct {
	Code   string        `json:"code"`
	Weight policy.Points `json:"weight"`
	Ham    float64       `json:"ham_percent"` // of all ham, and of all spam, that has it
	Spam   float64       `json:"spam_percent"`
}

// A Report is what came out of a trial.
type Report struct {
	Sets   []Set   `json:"sets"`
	Curve  []Step  `json:"curve"`
	Worths []Worth `json:"findings"`
	Wrongs []Case  `json:"-"` // ham with the highest scores, the worst first
}

// New reports on cases; sets are in the order in which they first appear.
func New(cases []Case) *Report {
	r := &Report{}
	groups := map[string][]Case{}
	for _, c := range cases {
		if _, ok := groups[c.Set]; !ok {
			r.Sets = append(r.Sets, Set{Name: c.Set, Spam: c.Spam})
		}
		groups[c.Set] = append(groups[c.Set], c)
	}
	for i := range r.Sets {
		r.Sets[i].count(groups[r.Sets[i].Name])
	}
	for t := policy.Points(1000); t <= 16000; t += 1000 {
		s := Step{Threshold: t}
		for _, set := range r.Sets {
			s.Percent = append(s.Percent, share(groups[set.Name], func(c *Case) bool { return c.Result.Score >= t || c.Ruled() }))
		}
		r.Curve = append(r.Curve, s)
	}
	r.worth(cases)
	r.wrong(cases)
	return r
}

// count fills in the numbers of a set.
func (s *Set) count(cases []Case) {
	s.Messages = len(cases)
	for i := range cases {
		switch cases[i].Result.Action {
		case policy.Tag:
			s.Tagged++
		case policy.Defer:
			s.Deferred++
		case policy.Reject, policy.Discard:
			s.Refused++
		}
		if cases[i].held() {
			s.Held++
		}
	}
	s.Share = percent(s.Held, s.Messages)
}

// share is the part of cases for which is says so, in percent.
func share(cases []Case, is func(*Case) bool) float64 {
	n := 0
	for i := range cases {
		if is(&cases[i]) {
			n++
		}
	}
	return percent(n, len(cases))
}

func percent(n, of int) float64 { return 100 * float64(n) / float64(max(of, 1)) }

// worth counts in how much ham and spam each finding is.
func (r *Report) worth(cases []Case) {
	type tally struct {
		weight policy.Points
		in     [2]int
	}
	all := map[string]*tally{}
	var total [2]int
	for i := range cases {
		k := 0
		if cases[i].Spam {
			k = 1
		}
		total[k]++
		seen := map[string]bool{}
		for _, f := range cases[i].Result.Findings {
			if seen[f.Code] {
				continue
			}
			seen[f.Code] = true
			t := all[f.Code]
			if t == nil {
				t = &tally{}
				all[f.Code] = t
			}
			if t.in[k]++; f.Weight != 0 {
				t.weight = f.Weight
			}
		}
	}
	for code, t := range all {
		r.Worths = append(r.Worths, Worth{code, t.weight, percent(t.in[0], total[0]), percent(t.in[1], total[1])})
	}
	slices.SortFunc(r.Worths, func(a, b Worth) int {
		return cmp.Or(cmp.Compare(b.Spam-b.Ham, a.Spam-a.Ham), cmp.Compare(a.Code, b.Code))
	})
}

// wrong orders the ham that was held, and after it what came next, by score.
func (r *Report) wrong(cases []Case) {
	for _, c := range cases {
		if !c.Spam && (c.held() || c.Result.Score > 0) {
			r.Wrongs = append(r.Wrongs, c)
		}
	}
	slices.SortStableFunc(r.Wrongs, func(a, b Case) int {
		if a.held() != b.held() {
			if a.held() {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.Result.Score, a.Result.Score), cmp.Compare(a.Name, b.Name))
	})
}
