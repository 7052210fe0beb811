package content

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gatepost/filters/mail"
)

// signsOf is the names of the signs of a message.
func signsOf(t *testing.T, text string) []string {
	t.Helper()
	g := gathered{seen: map[string]bool{}}
	g.gather(&mail.Mail{Envelope: &mail.Envelope{}, Message: mail.Parse(mail.Memory(strings.ReplaceAll(text, "\n", "\r\n")))}, nil)
	var list []string
	for _, x := range g.texts {
		if x.Place == "sign" {
			list = append(list, x.Content)
		}
	}
	return list
}

func TestASubjectThatEndsInNonsenseIsTold(t *testing.T) {
	for subject, want := range map[string]string{
		"Garden ornaments | mvcmv":             "mvcmv",
		"Never pay again (8SimUgQ)":            "(8SimUgQ)",
		"Your order is ready - xkcdqwzhv":      "xkcdqwzhv",
		"Hello you ... k3Jd9xQ":                "k3Jd9xQ",
		"[users] Parsing tables (html)":        "",
		"Notes - McDonald":                     "",
		"Build of main - 3fa9c0d2":             "",
		"Fix the parser | rules":               "",
		"Report on the first quarter (Q1)":     "",
		"Release 1.2 - GmbH":                   "",
		"Re: [ILUG] how to mount - nfs":        "",
		"Treffen am Freitag - Tschechisch":     "",
		"":                                     "",
		"mvcmv":                                "",
		"What a question | qqqqqqqqqqqqqqqqqq": "",
	} {
		if got := nonsenseTail(subject); got != want {
			t.Errorf("%q ends in %q, not %q", subject, got, want)
		}
	}
}

func TestAnAnswerToAnEndlessIdentifierIsNone(t *testing.T) {
	head := "From: a@b.example\nTo: c@d.example\nSubject: x\nIn-Reply-To: <%s@e.example>\n\ntext\n"
	if got := signsOf(t, fmt.Sprintf(head, "20260101.123")); !slices.Contains(got, "reply") || slices.Contains(got, "odd_answer") {
		t.Errorf("an honest answer has the signs %v", got)
	}
	if got := signsOf(t, fmt.Sprintf(head, strings.Repeat("x", 500))); slices.Contains(got, "reply") || !slices.Contains(got, "odd_answer") {
		t.Errorf("an answer to 500 octets has the signs %v", got)
	}
}

// The table of signs in README.md is the list that the program knows.
func TestTheTableOfSignsIsTheProgramsList(t *testing.T) {
	var want strings.Builder
	want.WriteString("| sign | meaning |\n|---|---|\n")
	for _, s := range Signs() {
		fmt.Fprintf(&want, "| `%s` | %s |\n", s.Name, s.Meaning)
	}
	if !strings.Contains(readme(t), want.String()) {
		t.Errorf("the table of signs in README.md is not what the code says; it should be\n%s", &want)
	}
}

// The table of packs in README.md names every shipped pack.
func TestTheTableOfPacksIsWhole(t *testing.T) {
	text := readme(t)
	for _, file := range packs(t) {
		if name := strings.TrimSuffix(filepath.Base(file), ".yaml"); !strings.Contains(text, "`"+name+"`") {
			t.Errorf("README.md does not tell of the pack %s", name)
		}
	}
}

// Every sign that the shipped rules name is one that is noticed, and every sign is listed.
func TestRulesNameSignsThatThereAre(t *testing.T) {
	known := map[string]bool{}
	for _, s := range Signs() {
		if known[s.Name] {
			t.Errorf("%s is listed twice", s.Name)
		}
		known[s.Name] = true
	}
	for _, name := range signsNamed(t) {
		if !known[name] {
			t.Errorf("a shipped rule names the sign %q, which is never noticed", name)
		}
	}
}

// readme is this package's README.md.
func readme(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// inSigns finds the signs that a line of a pack names.
var inSigns = regexp.MustCompile(`in: \[sign\], match: \[([a-z_, ]+)\]`)

// packs is the files of the shipped packs.
func packs(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../rules/core/*.yaml")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d packs, %v", len(files), err)
	}
	return files
}

// signsNamed is every sign that a condition of the shipped packs names.
func signsNamed(t *testing.T) []string {
	t.Helper()
	var list []string
	for _, file := range packs(t) {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range inSigns.FindAllStringSubmatch(string(b), -1) {
			list = append(list, strings.Split(m[1], ", ")...)
		}
	}
	return list
}
