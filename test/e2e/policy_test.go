package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gatepost/test/harness"
)

const holdHello = `version: 1
rules:
  - {name: hold-hello, when: 'message.subject == "Hello"', then: quarantine, reason: "Greetings are read first."}
`

// write replaces the policy of a world.
func write(t *testing.T, w *harness.World, policy string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(w.Dir, "policy.yaml"), []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
}

// reloads counts the reloads that the journal knows of, by how they ended.
func reloads(w *harness.World) (taken, refused int) {
	return w.Logged(`"msg":"reloaded"`), w.Logged(`"msg":"reload changed nothing"`)
}

func TestAPolicyIsTakenWholeOrNotAtAll(t *testing.T) { // P-18
	w := harness.Start(t, harness.Setup{Zone: friend, Config: unlimited})
	send := func() string { return w.Send("ann@friend.example", "bob@example.com", hello) }
	send()
	if w.Sink.Count() != 1 {
		t.Fatal("the first policy does not deliver")
	}
	write(t, w, holdHello)
	w.Signal(syscall.SIGHUP)
	harness.Eventually(t, "the new policy is in force", func() bool { n, _ := reloads(w); return n == 1 })
	send()
	if w.Sink.Count() != 1 {
		t.Error("the new policy does not hold")
	}
	for _, broken := range []string{
		"version: 1\nruels: []\n",
		"version: 1\nrules:\n  - {name: x, when: 'message.subjcet == 1', then: quarantine, reason: r}\n",
		strings.Replace(holdHello, "quarantine", "accept", 1) + "tests:\n  - {name: held, given: {mail_from: a@b.example, rcpt: [bob@example.com], subject: Hello}, expect: {action: quarantine}}\n",
	} {
		_, before := reloads(w)
		write(t, w, broken)
		if _, code := w.Command("check"); code != 1 {
			t.Errorf("check takes %q", broken)
		}
		w.Signal(syscall.SIGHUP)
		harness.Eventually(t, "the broken policy is refused", func() bool { _, n := reloads(w); return n > before })
		send()
		if w.Sink.Count() != 1 {
			t.Errorf("a refused policy changed something: %q", broken)
		}
	}
	if status, body := w.Get("/readyz"); status != 200 || !strings.Contains(body, "configuration") {
		t.Errorf("readyz does not show the refused file: %d %s", status, body)
	}
}

func TestDiffRollbackReplayAndATestOfARecordedMessage(t *testing.T) {
	w := harness.Start(t, harness.Setup{Zone: friend, Config: unlimited})
	w.Send("ann@friend.example", "bob@example.com", hello)
	w.Send("x@friend.example", "bob@example.com", spoofed)
	w.Send("ann@friend.example", "bob@example.com", eicar)

	same := filepath.Join(w.Dir, "policy.yaml")
	var d struct {
		Judged, Unknown int
		Differences     []struct{ ID, Was, Now string }
	}
	replay := func(draft string) {
		t.Helper()
		out, code := w.Command("replay", "--policy", draft, "--json")
		if err := json.Unmarshal([]byte(out), &d); code != 0 || err != nil {
			t.Fatalf("replay: exit %d, %v\n%s", code, err, out)
		}
	}
	harness.Eventually(t, "all three are in the journal", func() bool { replay(same); return d.Judged == 3 })
	if len(d.Differences) != 0 || d.Unknown != 0 {
		t.Errorf("the same policy judges otherwise: %+v", d)
	}
	write(t, w, holdHello)
	if out, _ := w.Command("diff"); !strings.Contains(out, "hold-hello") {
		t.Errorf("diff: %s", out)
	}
	if replay(same); len(d.Differences) != 1 || d.Differences[0].Was != "accept" || d.Differences[0].Now != "quarantine" {
		t.Fatalf("the draft differs in %+v", d)
	}
	if out, code := w.Command("reload"); code != 0 {
		t.Errorf("reload: exit %d %s", code, out)
	}
	harness.Eventually(t, "the draft is in force", func() bool { n, _ := reloads(w); return n == 1 })
	if out, code := w.Command("rollback"); code != 0 || !strings.Contains(out, "put back") {
		t.Errorf("rollback: exit %d %s", code, out)
	}
	harness.Eventually(t, "the first policy is back", func() bool { n, _ := reloads(w); return n == 2 })
	if b, _ := os.ReadFile(same); string(b) != "version: 1\n" {
		t.Errorf("rollback left %q", b)
	}

	out, code := w.Command("test", "--from", d.Differences[0].ID)
	if code != 0 || !strings.Contains(out, "expect") || strings.Contains(out, "ann@friend.example") {
		t.Errorf("test --from: exit %d\n%s", code, out)
	}
	write(t, w, "version: 1\ntests:\n"+indent(out))
	if out, code := w.Command("test"); code != 0 || !strings.Contains(out, "1 tests, 0 failed") {
		t.Errorf("the written test fails: %s", out)
	}
}

// indent puts a test under a key, if it is not there already.
func indent(test string) string {
	if !strings.HasPrefix(test, "tests:") {
		return test
	}
	return strings.TrimPrefix(test, "tests:\n")
}
