package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/test/harness"
)

// listed is the zone of friend with two block lists in it: one that works, one that is dead.
const listed = friend + `
dbltest.com.dbl.spamhaus.org A 127.0.1.2
bad.example.dbl.spamhaus.org A 127.0.1.4
2.0.0.127.zen.spamhaus.org A 127.0.0.2
9.113.0.203.zen.spamhaus.org A 127.0.0.4
`

const asking = unlimited + "filters: {dnsbl: {confirm: [spamhaus-dbl, spamhaus-zen, spamcop]}}\n"

func TestBlockListsAreAskedExplainedAndMutedInTheOpen(t *testing.T) { // L-06
	w := harness.Start(t, harness.Setup{Zone: listed, Config: asking})
	reply := w.Send("ann@friend.example", "bob@example.com", hello+"\nhttp://www.bad.example/login\n")
	id := reply[strings.LastIndexByte(reply, ' ')+1:]
	out, code := w.Command("explain", id)
	if code != 0 || !strings.Contains(out, "dnsbl.phish.spamhaus-dbl") || !strings.Contains(out, "a domain of phishing") {
		t.Errorf("explain %s: %s", id, out)
	}

	letter := filepath.Join(w.Dir, "letter.eml")
	if err := os.WriteFile(letter, []byte(harness.Wire(hello)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ = w.Command("scan", "--json", "--client-ip", "203.0.113.9", "--mail-from", "ann@friend.example", "--rcpt", "bob@example.com", letter)
	if !strings.Contains(out, "dnsbl.listed.spamhaus-zen") || !strings.Contains(out, "spamcop: muted, it does not list its test point") {
		t.Errorf("scan: %s", out)
	}

	out, code = w.Command("dnsbl", "check")
	if code != 1 || !strings.Contains(out, "spamhaus-zen: answers rightly") || !strings.Contains(out, "spamcop: muted") {
		t.Errorf("dnsbl check: exit %d\n%s", code, out)
	}
	if out, code = w.Command("dnsbl", "check", "bad.example"); code != 0 || !strings.Contains(out, "phish: a domain of phishing (127.0.1.4)") {
		t.Errorf("dnsbl check bad.example: exit %d\n%s", code, out)
	}
	if out, _ = w.Command("dnsbl", "list"); !strings.Contains(out, "barracuda") || !strings.Contains(out, "https://") {
		t.Errorf("dnsbl list: %s", out)
	}

	harness.Eventually(t, "the dead list is in the log", func() bool { return w.Logged("block list is muted") > 0 })
	if _, body := w.Get("/metrics"); !strings.Contains(body, `gatepost_dnsbl_muted{list="spamcop"} 1`) || !strings.Contains(body, `gatepost_dnsbl_muted{list="spamhaus-zen"} 0`) {
		t.Errorf("metrics do not show the muted list")
	}
	if status, body := w.Get("/readyz"); status != 200 || !strings.Contains(body, "block list spamcop") {
		t.Errorf("readyz: %d %s", status, body)
	}
}

func TestWeightsAreGivenListByList(t *testing.T) {
	w := harness.Prepare(t, harness.Setup{Zone: listed, Config: asking, Policy: "version: 1\nweights: {dnsbl.listed.spamhaus-zen: 20, dnsbl.listed.spamcpo: 1}\n"})
	if out, code := w.Command("check"); code != 1 {
		t.Errorf("a weight for a list that there is not: %s", out)
	}
	write(t, w, "version: 1\nweights: {dnsbl.listed.spamhaus-zen: 20}\n")
	letter := filepath.Join(w.Dir, "letter.eml")
	if err := os.WriteFile(letter, []byte(harness.Wire(hello)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ := w.Command("scan", "--json", "--client-ip", "203.0.113.9", "--mail-from", "ann@friend.example", "--rcpt", "bob@example.com", letter)
	if !strings.Contains(out, `"action":"reject"`) {
		t.Errorf("scan: %s", out)
	}
}

func TestEntriesTellHowOftenTheyDecideAndNewOnesAreTriedOnThePast(t *testing.T) {
	w := harness.Start(t, harness.Setup{Zone: friend, Config: unlimited, Policy: `version: 1
access:
  - deny: {recipient: [old@example.com], reason: "left us", owner: ann, expires: 2099-01-31}
  - allow: {sender: ["@friend.example"], reason: "a friend"}
  - deny: {client: [192.0.2.0/24], expires: 2020-01-31}
`})
	w.Send("ann@friend.example", "bob@example.com", hello)
	d := harness.Dial(t, w.SMTP)
	d.Talk("S: 220\nC: EHLO c.example\nS: 250\nC: MAIL FROM:<ann@friend.example>\nS: 250\nC: RCPT TO:<old@example.com>\nS: 550 5.7.1\nC: QUIT\nS: 221")
	out := ""
	harness.Eventually(t, "both are counted", func() bool {
		out, _ = w.Command("lists", "show")
		return strings.Count(out, "  1  ") == 2
	})
	for _, want := range []string{"deny recipient old@example.com", "2099-01-31", "left us", "2020-01-31 (over)", "allow sender @friend.example"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	out, code := w.Command("lists", "preview", "deny sender_domain friend.example", "--json")
	if code != 0 || !strings.Contains(out, `"messages":1,"attempts":1`) || !strings.Contains(out, `"was":"accept","now":"reject"`) {
		t.Errorf("preview: exit %d\n%s", code, out)
	}
	if out, code = w.Command("lists", "preview", "deny sendre friend.example"); code != 1 {
		t.Errorf("a slip: exit %d %s", code, out)
	}
	if w.Send("ann@friend.example", "bob@example.com", hello); w.Sink.Count() != 2 {
		t.Error("a preview changed something")
	}
}
