package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/test/harness"
)

// lesson is a message that sells or that talks of work.
func lesson(sells bool, n int) string {
	words := strings.Fields("meeting minutes budget colleague review draft schedule project agenda report")
	if sells {
		words = strings.Fields("casino prize winner lottery refund million pills bonus claim jackpot")
	}
	text := ""
	for i := range 8 {
		text += words[(n+i*(n%3+1))%len(words)] + " "
	}
	return fmt.Sprintf("From: Ann <ann@friend.example>\nTo: <bob@example.com>\nSubject: news\nDate: Mon, 23 Nov 2026 09:00:00 +0000\nMessage-ID: <%d@friend.example>\n\nThis is the %s of number %s\n",
		n, text, strings.Repeat("i", n+1))
}

// What is taught from a shell beside the running gateway counts for the mail that comes next, and is gone again when it
// is taken back.
func TestTheRunningGatewayLearnsWhatIsTaughtBesideIt(t *testing.T) {
	w := harness.Start(t, harness.Setup{Zone: friend, Config: "filters: {bayes: {min_spam: 20, min_ham: 20}}"})
	for n := range 30 {
		for kind, sells := range map[string]bool{"spam": true, "ham": false} {
			path := filepath.Join(w.Dir, kind, fmt.Sprint(n))
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(lesson(sells, n)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	known := func() bool {
		out, _ := w.Command("scan", "--json", filepath.Join(w.Dir, "spam", "1"))
		return strings.Contains(out, `"bayes.`)
	}
	if known() {
		t.Error("something is known before anything was taught")
	}
	if out, code := w.Command("train", "--spam", filepath.Join(w.Dir, "spam"), "--ham", filepath.Join(w.Dir, "ham")); code != 0 || !strings.Contains(out, "30 messages taught as spam") {
		t.Fatalf("train: exit %d, %s", code, out)
	}
	if !known() {
		t.Error("scan does not see what was taught")
	}
	score := func() string {
		w.Send("ann@friend.example", "bob@example.com", lesson(true, 98))
		out, _ := w.Command("trace", "--json", "98@friend.example")
		return out
	}
	harness.Eventually(t, "the gateway judges by what was taught", func() bool { return strings.Contains(score(), "bayes.spam-") })
	out, _ := w.Command("train", "status")
	if !strings.Contains(out, "30 spam and 30 ham taught") || !strings.Contains(out, "judges by it") {
		t.Errorf("status: %s", out)
	}
	if out, code := w.Command("train", "forget", filepath.Join(w.Dir, "spam")); code != 0 || !strings.Contains(out, "30 messages forgotten") {
		t.Errorf("forget: exit %d, %s", code, out)
	}
	if known() {
		t.Error("scan still knows what was taken back")
	}
}

func TestATrialShowsWhatIsRightAndWhatIsWrong(t *testing.T) {
	w := harness.Prepare(t, harness.Setup{Config: "filters: {bayes: {min_spam: 20, min_ham: 20}, auth: {enabled: false}}"})
	for n := range 60 {
		for kind, sells := range map[string]bool{"spam": true, "ham": false} {
			path := filepath.Join(w.Dir, kind, fmt.Sprint(n))
			os.MkdirAll(filepath.Dir(path), 0o700)
			if err := os.WriteFile(path, []byte(lesson(sells, n)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	out, code := w.Command("eval", "--train", "half", "--ham", "good="+filepath.Join(w.Dir, "ham"), "--spam", filepath.Join(w.Dir, "spam"))
	for _, want := range []string{"good", "held or worse", "held if the quarantine began at", "bayes.spam-", "bayes.ham-", "ham that cost most (0 held)"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("exit %d, %q is missing in:\n%s", code, want, out)
		}
	}
	if out, code := w.Command("eval", "--json", "--spam", filepath.Join(w.Dir, "spam")); code != 0 || !strings.Contains(out, `"messages":60`) {
		t.Errorf("exit %d: %s", code, out)
	}
}
