package content

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/rules"
)

// shipped is the filter with the shipped rules.
func shipped(t testing.TB) *Filter {
	t.Helper()
	set, problems := rules.Load(nil, nil)
	if len(problems) > 0 {
		t.Fatal(problems[0])
	}
	return New(Config{}, set)
}

// look runs the filter over a message written with LF.
func look(t testing.TB, f *Filter, text string) filters.Facts {
	t.Helper()
	src := bytes.NewReader([]byte(strings.ReplaceAll(text, "\n", "\r\n")))
	facts, err := f.Check(context.Background(), &mail.Mail{Envelope: &mail.Envelope{Time: time.Unix(1e9, 0)}, Message: mail.Parse(src)})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range facts.Findings {
		if x.Text == "" || len(x.Proof) == 0 {
			t.Errorf("%s has no text or no proof", x.Code)
		}
		for _, p := range x.Proof {
			if p.What == "" || p.Where == "" || len(p.What) > 200 {
				t.Errorf("%s: proof %+v", x.Code, p)
			}
		}
	}
	return facts
}

func has(f filters.Facts, code string) bool {
	return slices.ContainsFunc(f.Findings, func(x filters.Finding) bool { return x.Code == code })
}

func TestAFindingQuotesWhatTheReaderSees(t *testing.T) {
	f := look(t, shipped(t), "From: a@b.example\nTo: c@d.example\nSubject: =?utf-8?q?Y=D0=BEur?= parcel is pending\n\nPlease schedule a redelivery of the parcel.\n")
	if !has(f, "content.phish.parcel") {
		t.Fatalf("found %v", f.Findings)
	}
	for _, x := range f.Findings {
		if x.Code == "content.phish.parcel" && (x.Proof[0].Where != "header Subject" || x.Proof[0].At == nil || !strings.Contains(x.Proof[0].What, "Yоur parcel is pending")) {
			t.Errorf("proof %+v", x.Proof)
		}
	}
}

func TestGtubeIsFoundInTextHtmlAndAttachedEncodings(t *testing.T) {
	const gtube = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
	f := shipped(t)
	head := "From: Ann <a@b.example>\nTo: c@d.example\nSubject: test\n"
	for _, body := range []string{"\n" + gtube + "\n", "Content-Type: text/html\n\n<p>" + gtube + "</p>\n",
		"Content-Transfer-Encoding: base64\n\nWEpTKkM0SkRCUUFETjEuTlNCTjMqMklETkVOKkdUVUJFLVNUQU5EQVJELUFOVEktVUJFLVRFU1QtRU1BSUwqQy4zNFg=\n"} {
		if !has(look(t, f, head+body), "content.gtube") {
			t.Errorf("not found in %q", body)
		}
	}
	if facts := look(t, f, head+"\nHello, how are you?\n"); len(facts.Findings) != 0 {
		t.Errorf("an ordinary message: %v", facts.Findings)
	}
}

func TestTextFactsSayLanguageAndLength(t *testing.T) {
	f := shipped(t)
	for text, want := range map[string]filters.Text{
		"The cat is on the table and you are not.":   {Language: "en", Words: 10},
		"Der Hund und die Katze sind nicht im Haus.": {Language: "de", Words: 9},
		"您好，请查收附件中的会议纪要。":                            {Language: "zh", Words: 13},
		"Здравствуйте, как у вас дела сегодня?":      {Language: "ru", Words: 6},
		"ok": {Words: 1},
	} {
		got := look(t, f, "From: a@b.example\nContent-Type: text/plain; charset=utf-8\n\n"+text+"\n").Text
		if got == nil || *got != want {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

func TestEverySignIsDocumentedAndNoRuleAsksForAnother(t *testing.T) {
	known := map[string]bool{}
	for _, s := range Signs() {
		if known[s.Name] || s.Meaning == "" || strings.Contains(s.Name, "-") {
			t.Errorf("%s is documented badly or twice", s.Name)
		}
		known[s.Name] = true
	}
}

func TestEveryFindingIsDocumentedInBothLanguagesAndHasAWeight(t *testing.T) {
	f := shipped(t)
	weights := Weights(f.set)
	seen := map[string]bool{}
	for _, c := range append(Codes(), RuleCodes(f.set)...) {
		if c.Meaning == "" || c.Chinese == "" || seen[c.Name] {
			t.Errorf("%s is documented badly or twice", c.Name)
		}
		seen[c.Name] = true
		if _, ok := weights[c.Name]; !ok && c.Name != "content.limit" && c.Name != "content.long" {
			t.Errorf("%s has no weight", c.Name)
		}
	}
}

// H-10: what rules did not see is told, and what they saw whole is not.
func TestAMessageThatIsLongerThanRulesLookAtSaysSo(t *testing.T) {
	const head, page = "From: a@b.example\n", "MIME-Version: 1.0\nContent-Type: text/html\n\n"
	links := func(n int) (s string) {
		for i := range n {
			s += fmt.Sprintf("<a href='https://b.example/%d'>x</a>\n", i)
		}
		return s
	}
	for _, c := range []struct{ shows, near string }{
		{"\n" + strings.Repeat("wxyz ", 60_000), "\n" + strings.Repeat("wxyz ", 50_000)},
		{page + strings.Repeat("<wbr>", 60_000), page + strings.Repeat("<wbr>", 50_000)},
		{page + links(301), page + links(300)},
	} {
		if !has(look(t, shipped(t), head+c.shows), "content.long") {
			t.Errorf("%.60q: nothing is said", c.shows)
		}
		if has(look(t, shipped(t), head+c.near), "content.long") {
			t.Errorf("%.60q: it is said", c.near)
		}
	}
}
