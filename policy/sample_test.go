package policy

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"gatepost/filters"
	"gatepost/filters/attach"
	"gatepost/filters/headers"
)

func TestTheSamplePolicyPassesItsOwnTestsAndReachesEveryRule(t *testing.T) {
	p, problems := Parse("policy.yaml", Sample(), Options{Filters: []string{"headers", "auth", "attach"}})
	for _, problem := range problems {
		t.Error(problem)
	}
	if p == nil {
		t.FailNow()
	}
	r := p.RunTests(context.Background(), envelope().Time, nil)
	for _, res := range r.Results {
		if !res.Passed {
			t.Errorf("%s: %s: %s", res.At, res.Name, strings.Join(res.Problems, "; "))
		}
	}
	if len(r.Uncovered) > 0 {
		t.Errorf("no test reaches %v", r.Uncovered)
	}
}

// A mutation changes one thing in a text.
type mutation struct {
	what string
	find *regexp.Regexp
	with []string
}

// mutations are the operators, words and numbers that a slip could change.
func mutations() []mutation {
	return []mutation{
		{"and", regexp.MustCompile(`&&`), []string{"||"}},
		{"or", regexp.MustCompile(`\|\|`), []string{"&&"}},
		{"equal", regexp.MustCompile(`==`), []string{"!="}},
		{"unequal", regexp.MustCompile(`!=`), []string{"=="}},
		{"not", regexp.MustCompile(`!(has|in_list|r\.)`), []string{"$1"}},
		{"greater", regexp.MustCompile(` > `), []string{" >= ", " < "}},
		{"at least", regexp.MustCompile(` >= `), []string{" > ", " < "}},
		{"less", regexp.MustCompile(` < `), []string{" <= ", " > "}},
		{"exists", regexp.MustCompile(`\.exists\(`), []string{".all("}},
		{"contains", regexp.MustCompile(`\.contains\(`), []string{".startsWith("}},
		{"suffix", regexp.MustCompile(`\.endsWith\(`), []string{".startsWith("}},
		{"fold", regexp.MustCompile(`\.lowerAscii\(\)`), []string{""}},
		{"action", regexp.MustCompile(`then: (accept|quarantine|reject)`), []string{"then: tag", "then: defer", "then: reject", "then: accept", "then: quarantine"}},
		{"points", regexp.MustCompile(`score: (\d+)`), []string{"score: -$1", "score: 1$1"}},
		{"class", regexp.MustCompile(`class: (phish|malware)`), []string{"class: spam"}},
		{"mode", regexp.MustCompile(`mode: monitor`), []string{"mode: enforce", "mode: off"}},
		{"standing", regexp.MustCompile(`- (deny|allow): \{`), []string{"- deny: {", "- allow: {"}},
		{"network", regexp.MustCompile(`203\.0\.113\.0/24`), []string{"203.0.113.0/26", "192.0.2.0/24"}},
		{"threshold", regexp.MustCompile(`(tag|quarantine|reject): (5|8|15)\b`), []string{"$1: $2.001", "$1: off"}},
		{"lower threshold", regexp.MustCompile(`(tag|quarantine|reject): (5|8|15)\b`), []string{"$1: 4", "$1: 7", "$1: 14"}},
		{"weight", regexp.MustCompile(`spf\.softfail: 1`), []string{"spf.softfail: 2", "spf.softfail: 0"}},
		{"failure", regexp.MustCompile(`attach: quarantine`), []string{"attach: accept", "attach: defer", "attach: reject"}},
		{"pattern", regexp.MustCompile(`"\*\.(exe|scr|js|vbs|lnk|iso|hta)"`), []string{`"*.x$1"`}},
		{"list", regexp.MustCompile(`domains: \[partner\.example, "\*\.partner\.example"\]`), []string{`domains: [partner.example]`, `domains: ["*.partner.example"]`}},
		{"person", regexp.MustCompile(`name: (Chief|Head)`), []string{"name: Old $1"}},
		{"address", regexp.MustCompile(`\[(ceo|finance)@example.com\]`), []string{"[old-$1@example.com]"}},
		{"recipient", regexp.MustCompile(`for: "canary@`), []string{`for: "other@`, `for: "*@`}},
		{"number", regexp.MustCompile(`20000000|>= 5|< 20`), []string{"20000002", ">= 6", "< 19", "< 21"}},
	}
}

// TestMutationsOfTheSamplePolicyAreKilledByItsTests changes one operator, action or number at a time: at least nine
// in ten changes make one of the policy's own tests fail (BETS 3).
func TestMutationsOfTheSamplePolicyAreKilledByItsTests(t *testing.T) {
	text := string(Sample())
	rules, tests := text[:strings.Index(text, "\ntests:")], text[strings.Index(text, "\ntests:"):]
	mutants, killed := 0, 0
	for _, m := range mutations() {
		for _, at := range m.find.FindAllStringIndex(rules, -1) {
			found := rules[at[0]:at[1]]
			if line := rules[strings.LastIndexByte(rules[:at[0]], '\n')+1 : at[0]]; strings.HasPrefix(strings.TrimSpace(line), "#") {
				continue
			}
			for _, with := range m.with {
				mutant := rules[:at[0]] + m.find.ReplaceAllString(found, with) + rules[at[1]:]
				p, problems := Parse("policy.yaml", []byte(mutant+tests), Options{})
				if mutant == rules || len(problems) > 0 {
					continue // no change, or one that is not even loaded
				}
				mutants++
				r := p.RunTests(context.Background(), envelope().Time, nil)
				if r.Failed() > 0 {
					killed++
					continue
				}
				t.Logf("survives: %s at line %d: %s -> %s", m.what, strings.Count(rules[:at[0]], "\n")+1, found, m.find.ReplaceAllString(found, with))
			}
		}
	}
	t.Logf("%d of %d mutants are killed", killed, mutants)
	if mutants < 60 || killed*10 < mutants*9 {
		t.Errorf("%d of %d mutants are killed", killed, mutants)
	}
}

// TestEveryFindingHasAWeight asks for every finding of the filters that the shipped policy says what it weighs, be it
// nothing.
func TestEveryFindingHasAWeight(t *testing.T) {
	p, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	for _, codes := range [][]filters.Code{headers.Codes(), attach.Codes()} {
		for _, c := range codes {
			if p.weightOf(c.Name).at == "" {
				t.Errorf("%s has no weight", c.Name)
			}
		}
	}
}
