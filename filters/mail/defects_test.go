package mail

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Every defect is documented once, in two languages, and the README says of each what the code says.
func TestDefectsAreDocumented(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	list := Defects()
	if !slices.IsSortedFunc(list, func(a, b DefectCode) int { return strings.Compare(a.Code, b.Code) }) {
		t.Error("the codes are not sorted")
	}
	for i, d := range list {
		if i > 0 && d.Code == list[i-1].Code || d.Meaning == "" || d.Chinese == "" {
			t.Errorf("%s is listed twice, or without meaning", d.Code)
		}
		if line := "| `" + d.Code + "` | " + d.Severity.String() + " | " + d.Meaning + " |"; !strings.Contains(string(readme), line) {
			t.Errorf("README.md lacks %s", line)
		}
	}
	if SeverityOf("no.such-code") != Ambiguous {
		t.Error("a code that nobody knows is harmless")
	}
}
