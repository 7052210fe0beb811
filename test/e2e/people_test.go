package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/gateway/db"
	"gatepost/gateway/people"
	"gatepost/rules/lookalike"
	"gatepost/rules/sites"
	"gatepost/test/harness"
)

// remembered fills the store of a world that does not run yet with two weeks of mail: Li Wei of supplier.example writes to Anna Schmidt,
// and others do.
func remembered(t *testing.T, w *harness.World) {
	t.Helper()
	d, err := db.Open("sqlite:" + filepath.Join(w.Dir, "data", "gatepost.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	s, err := people.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	anna := people.Reader{Address: "anna@example.com", Name: "Anna Schmidt"}
	var list []people.Observation
	for i := range 220 {
		o := people.Observation{Time: time.Now().AddDate(0, 0, i%14-15), Author: "li@supplier.example", Name: "Li Wei", Proven: true, Rcpts: []people.Reader{anna}, Links: []string{"supplier.example"}}
		if i%2 == 1 {
			o.Author, o.Name = fmt.Sprintf("someone%d@other.example", i), ""
		}
		list = append(list, o)
	}
	look, err := lookalike.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	known, err := sites.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Add(t.Context(), people.New(people.Limits{}, look, known), list); err != nil {
		t.Fatal(err)
	}
}

// From mail to memory to judgment: a stranger who bears the name of one of ours is told from the one who may, with no rule written.
func TestPeopleAreLearntFromMailAndTheirImpersonatorsTold(t *testing.T) {
	w := harness.Prepare(t, harness.Setup{Zone: friend, Config: unlimited})
	remembered(t, w)
	w.Run()
	letter := func(name, address, subject string) string {
		return "From: " + name + " <" + address + ">\nTo: Anna Schmidt <anna@example.com>\nSubject: " + subject + "\nDate: " + time.Now().Format(time.RFC1123Z) + "\nMessage-ID: <" + subject + "@x.example>\n\nhello\n"
	}
	explain := func(reply string) string {
		out, code := w.Command("explain", "--json", reply[strings.LastIndexByte(reply, ' ')+1:])
		if code != 0 {
			t.Fatalf("explain: %s", out)
		}
		return out
	}
	out := explain(w.Send("x@friend.example", "anna@example.com", letter("Anna Schmidt", "anna.schmidt@friend.example", "one")))
	if !strings.Contains(out, `"spoof.person"`) || !strings.Contains(out, "anna@example.com, and the address is foreign") || !strings.Contains(out, `"spoof.first-contact"`) {
		t.Errorf("an impersonator: %s", out)
	}
	if out = explain(w.Send("li@supplier.example", "anna@example.com", letter("Li Wei", "li@supplier.example", "two"))); strings.Contains(out, "spoof.person") || !strings.Contains(out, `"spoof.known-sender"`) {
		t.Errorf("a known sender: %s", out)
	}
	if out = explain(w.Send("x@friend.example", "anna@example.com", letter("Li Wei", "li@supp1ier.example", "three"))); !strings.Contains(out, `"spoof.lookalike-partner"`) {
		t.Errorf("a look-alike of a partner: %s", out)
	}

	if reply := w.Send("ann@friend.example", "anna@example.com", letter("Ann Friend", "ann@friend.example", "four")); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	harness.Eventually(t, "the friend is remembered", func() bool {
		out, code := w.Command("people", "list", "senders", "--word", "ann@friend")
		return code == 0 && strings.Contains(out, "Ann Friend")
	})
	if out, code := w.Command("people", "list", "--json"); code != 0 || !strings.Contains(out, `"who":"anna@example.com","name":"Anna Schmidt"`) {
		t.Errorf("people list: exit %d, %s", code, out)
	}
	if out, code := w.Command("people", "forget", "supplier.example"); code != 0 || !strings.Contains(out, "memories forgotten") {
		t.Errorf("people forget: exit %d, %s", code, out)
	}
	harness.Eventually(t, "the gateway forgets, too", func() bool {
		out := explain(w.Send("x@friend.example", "anna@example.com", letter("Li Wei", "li@supp1ier.example", "five")))
		return !strings.Contains(out, `"spoof.lookalike-partner"`)
	})
	if _, code := w.Command("people", "list", "friends"); code != 1 {
		t.Error("a list that there is not")
	}
}

// Rules can speak of the sender, and replay judges by what was known then.
func TestRulesSpeakOfTheSender(t *testing.T) {
	w := harness.Prepare(t, harness.Setup{Zone: friend, Config: unlimited, Policy: `version: 1
rules:
  - name: stranger
    when: has_fact(sender.known) && !sender.known
    then: quarantine
    class: policy
    reason: Nobody here knows the author.
tests:
  - name: a stranger is held
    given: {mail_from: a@b.example, rcpt: [c@example.com], sender: {messages: 0}}
    expect: {action: quarantine, rule: stranger}
  - name: a friend is not
    given: {mail_from: a@b.example, rcpt: [c@example.com], sender: {messages: 7, first_seen: 2026-01-02T03:04:05Z}}
    expect: {rule: none}
`})
	remembered(t, w)
	if out, code := w.Command("check"); code != 0 {
		t.Fatalf("check: %s", out)
	}
	w.Run()
	if reply := w.Send("x@friend.example", "anna@example.com", hello); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	if out, _ := w.Command("quarantine", "list", "--json"); !strings.Contains(out, "x@friend.example") && !strings.Contains(out, "friend.example") {
		t.Errorf("the stranger is not held: %s", out)
	}
	if out, code := w.Command("replay", "--policy", filepath.Join(w.Dir, "policy.yaml"), "--json"); code != 0 || !strings.Contains(out, `"differences":[]`) {
		t.Errorf("replay: %s", out)
	}
}
