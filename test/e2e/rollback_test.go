package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gatepost/test/harness"
)

// pack is a rule pack of the site that gives so much weight to a word.
func pack(word, weight string) string {
	return "version: 1\nrules:\n  - {name: site." + word + ", match: [" + word + "], why: {en: \"A word of the site.\", zh: \"本站词语。\"}, weight: " + weight +
		", hits: [\"" + word + "\"], misses: [\"other\"]}\n"
}

// TestRollbackRestoresTheRulePacksThatJudged: one pack changes, another comes beside it, and the way back undoes both.
func TestRollbackRestoresTheRulePacksThatJudged(t *testing.T) {
	first := pack("zanzibar", "0.5")
	w := harness.Start(t, harness.Setup{
		Zone: friend, Config: unlimited + "rules: [rules.d]\n", Files: map[string]string{"rules.d/a.yaml": first},
	})
	a, b := filepath.Join(w.Dir, "rules.d", "a.yaml"), filepath.Join(w.Dir, "rules.d", "b.yaml")
	send := func() string {
		return w.Send("ann@friend.example", "bob@example.com", strings.Replace(hello, "\n\n", "\n\nzanzibar timbuktu ", 1))
	}
	send()
	if w.Sink.Count() != 1 {
		t.Fatal("the first rules hold it")
	}
	for path, text := range map[string]string{a: pack("zanzibar", "5"), b: pack("timbuktu", "5")} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.Signal(syscall.SIGHUP)
	harness.Eventually(t, "the new rules are in force", func() bool { n, _ := reloads(w); return n > 0 })
	send()
	if w.Sink.Count() != 1 {
		t.Fatal("the new rules do not hold it")
	}
	before, _ := reloads(w)
	out, code := w.Command("rollback")
	if code != 0 || !strings.Contains(out, "put back "+a) || !strings.Contains(out, "set aside "+b) {
		t.Fatalf("rollback: exit %d %s", code, out)
	}
	harness.Eventually(t, "the first rules are back", func() bool { n, _ := reloads(w); return n > before })
	if text, err := os.ReadFile(a); err != nil || string(text) != first {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := os.Stat(b); !os.IsNotExist(err) {
		t.Errorf("%s is still read: %v", b, err)
	}
	harness.Eventually(t, "it passes again", func() bool { send(); return w.Sink.Count() > 1 })
}
