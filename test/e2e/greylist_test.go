package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"gatepost/test/harness"
)

// doubtful is a policy that doubts everybody, and two senders: one that SPF vouches for, one that nothing does.
const doubtful = "version: 1\nrules:\n  - {name: doubt, for: [\"@example.com\"], then: greylist, reason: We doubt everybody.}\naccess:\n  - allow: {sender: [\"@known.example\"], unsafe: true}\n"

const pools = `pool.example TXT v=spf1 ip4:127.0.0.0/8 -all
_dmarc.pool.example TXT v=DMARC1; p=none
known.example TXT v=spf1 -all
`

// letterFrom is hello with another author.
func letterFrom(domain string) string {
	return strings.ReplaceAll(hello, "friend.example", domain)
}

// waiting is the list of who waits.
func waiting(t *testing.T, w *harness.World, args ...string) (list []struct{ ID, Who, Mail_from, Rcpt string }) {
	t.Helper()
	out, code := w.Command(append([]string{"greylist", "list", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &list); err != nil || code != 0 {
		t.Fatalf("greylist list: exit %d, %v\n%s", code, err, out)
	}
	return list
}

func TestDoubtfulMailWaitsOnceAlsoOverARestart(t *testing.T) {
	w := harness.Start(t, harness.Setup{Zone: pools, Policy: doubtful, Config: "greylist: {delay: 2s}\nlimits: {connects_per_minute: 100000, messages_per_minute: 100000, recipients_per_minute: 100000}\n"})
	send := func(domain, want string) {
		t.Helper()
		if reply := w.Send("ann@"+domain, "bob@example.com", letterFrom(domain)); !strings.HasPrefix(reply, want) {
			t.Fatalf("%s: reply %q, want %s", domain, reply, want)
		}
	}
	send("known.example", "250 2.0.0") // an allow entry never waits
	send("pool.example", "450 4.7.1 Greylisted: ")
	send("stranger.example", "450 4.7.1 Greylisted: ")
	harness.Eventually(t, "both are listed", func() bool { return len(waiting(t, w)) == 2 })
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	w.Run()
	harness.Eventually(t, "the time to wait is over", func() bool {
		return strings.HasPrefix(w.Send("ann@pool.example", "bob@example.com", letterFrom("pool.example")), "250 2.0.0")
	})
	if reply := w.Send("other@pool.example", "carol@example.com", letterFrom("pool.example")); !strings.HasPrefix(reply, "250 2.0.0") {
		t.Errorf("a proven sender that came back waits again: %q", reply)
	}
	if n := w.Sink.Count(); n != 3 {
		t.Errorf("%d messages arrived, want 3", n)
	}
	if out, _ := w.Command("trace", "ann@pool.example"); !strings.Contains(out, "450") {
		t.Errorf("the trace does not tell of the wait:\n%s", out)
	}
	if _, body := w.Get("/metrics"); !strings.Contains(body, `gatepost_access_events_total{event="greylist_passed"} 1`) {
		t.Error("no metric tells who passed")
	}
}

func TestAWaitingSenderCanBeLetThroughByHand(t *testing.T) {
	w := harness.Start(t, harness.Setup{Policy: doubtful, Config: "greylist: {delay: 1h}\n"})
	send := func() string {
		return w.Send("ann@stranger.example", "bob@example.com", letterFrom("stranger.example"))
	}
	if reply := send(); !strings.HasPrefix(reply, "450 4.7.1 Greylisted: ") {
		t.Fatalf("reply %q", reply)
	}
	harness.Eventually(t, "it is listed", func() bool { return len(waiting(t, w)) == 1 })
	v := waiting(t, w)[0]
	if v.Who != "127.0.0.0/24" || v.Mail_from != "ann@stranger.example" || v.Rcpt != "bob@example.com" {
		t.Errorf("listed %+v", v)
	}
	if out, code := w.Command("greylist", "pass", "0123456789abcdef"); code == 0 {
		t.Errorf("passed nobody: %s", out)
	}
	if out, code := w.Command("greylist", "pass", v.ID); code != 0 || !strings.Contains(out, "let through") {
		t.Fatalf("pass: exit %d\n%s", code, out)
	}
	if reply := send(); !strings.HasPrefix(reply, "250 2.0.0") {
		t.Errorf("let through, and told %q", reply)
	}
	harness.Eventually(t, "nobody waits", func() bool { return len(waiting(t, w)) == 0 && len(waiting(t, w, "--all")) == 1 })
	harness.Eventually(t, "the journal tells who did it", func() bool {
		out, _ := w.Command("trace", "ann@stranger.example")
		return strings.Contains(out, "greylist pass")
	})
}
