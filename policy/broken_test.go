package policy

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/filters"
)

var update = flag.Bool("update", false, "write what is found as what is wanted")

// knownCodes are the findings that the broken files are checked against.
func knownCodes() []filters.Code {
	return []filters.Code{{Name: "dmarc.fail"}, {Name: "dmarc.pass"}, {Name: "links.listed"}, {Name: "attach.macro"}, {Name: "bayes.spam"}}
}

// TestBrokenPoliciesSayWhatIsWrong reads every file of testdata/broken and compares every problem, to the letter,
// with the .want file beside it.
func TestBrokenPoliciesSayWhatIsWrong(t *testing.T) {
	files, err := filepath.Glob("testdata/broken/*.yaml")
	if err != nil || len(files) < 40 {
		t.Fatalf("there are %d broken policies: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			p, problems := Load(file, Options{Codes: knownCodes(), Filters: []string{"auth", "clamd"}})
			if p != nil || len(problems) == 0 {
				t.Fatal("it was accepted")
			}
			var got strings.Builder
			for _, problem := range problems {
				got.WriteString(strings.ReplaceAll(problem.Error(), "testdata/broken/", "") + "\n")
			}
			want := strings.TrimSuffix(file, ".yaml") + ".want"
			if *update {
				if err := os.WriteFile(want, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			golden, err := os.ReadFile(want)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(golden) {
				t.Errorf("got\n%swant\n%s", got.String(), golden)
			}
		})
	}
}

func TestAFilterWithoutAnActionForItsFailureIsAProblem(t *testing.T) {
	_, problems := Parse("policy.yaml", nil, Options{Filters: []string{"auth", "oracle"}})
	if len(problems) != 1 || problems[0].Error() != "policy.yaml: filter oracle has no action under failures: say accept, tag, quarantine, defer or reject" {
		t.Errorf("got %v", problems)
	}
}
