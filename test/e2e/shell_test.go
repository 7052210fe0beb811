package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/test/harness"
	"gatepost/test/harness/badsink"
)

// A shell drives the review commands of one world as a script would: by --json.
type shell struct {
	t *testing.T
	w *harness.World
}

// json runs a command and reads the one JSON value that it prints.
func (s shell) json(into any, want int, args ...string) {
	s.t.Helper()
	out, code := s.w.Command(args...)
	if err := json.Unmarshal([]byte(out), into); err != nil || code != want {
		s.t.Fatalf("gatepost %s: exit %d, %v\n%s", strings.Join(args, " "), code, err, out)
	}
}

const askedFor = `version: 1
rules:
  - {name: hold-me, when: 'message.subject.contains("HOLD")', then: quarantine, class: spam, reason: Asked to be held.}
`

func TestAScriptReviewsTheQuarantine(t *testing.T) {
	w := harness.Start(t, harness.Setup{Zone: friend, Policy: askedFor, Script: badsink.Script{Replies: map[string]string{badsink.Dot: "554 5.7.1 not here"}}})
	s := shell{t, w}
	letter := "From: ann@friend.example\r\nTo: bob@example.com\r\nDate: Mon, 23 Nov 2026 08:00:00 +0000\r\nMessage-ID: <1@friend.example>\r\nSubject: HOLD\r\n\r\nhello\r\n"
	w.Send("ann@friend.example", "Bob@example.com", letter)
	var list []struct{ ID, Reason string }
	s.json(&list, 0, "quarantine", "list", "--json")
	if len(list) != 1 || list[0].Reason != "Asked to be held." {
		t.Fatalf("the list does not say what decided: %+v", list)
	}
	id := list[0].ID
	var exported struct {
		ID      string
		Size    int
		Content []byte
	}
	s.json(&exported, 0, "quarantine", "export", "--json", id)
	if exported.ID != id || exported.Size != len(letter) || !bytes.Equal(exported.Content, []byte(letter)) {
		t.Errorf("export: %+v", exported)
	}
	var released []struct {
		Recipient, Reply string
		OK               bool
	}
	s.json(&released, 1, "quarantine", "release", "--json", "--rcpt", "bob@EXAMPLE.com", id)
	if len(released) != 1 || released[0].OK || !strings.HasPrefix(released[0].Reply, "554 5.7.1") {
		t.Errorf("release: %+v", released)
	}
	if out, code := harness.CommandBoth(t, w.Dir, "quarantine", "release", "--rcpt", "eve@example.com", id); code != 1 || !strings.Contains(out, `no copy for "eve@example.com"; it has copies for Bob@example.com`) {
		t.Errorf("release to a stranger: exit %d\n%s", code, out)
	}
	var deleted struct {
		ID      string
		Deleted []string
	}
	s.json(&deleted, 0, "quarantine", "delete", "--json", id)
	if deleted.ID != id || len(deleted.Deleted) != 1 || deleted.Deleted[0] != "Bob@example.com" {
		t.Errorf("delete: %+v", deleted)
	}
	if out, code := harness.CommandBoth(t, w.Dir, "quarantine", "show", id); code != 1 || !strings.Contains(out, id) {
		t.Errorf("show what is gone: exit %d\n%s", code, out)
	}
	if out, code := harness.CommandBoth(t, w.Dir, "explain", "nosuch"); code != 1 || !strings.Contains(out, "gatepost trace") {
		t.Errorf("explain what never was: exit %d\n%s", code, out)
	}
}

// The journal says what the client was told and of whose message, once, also when the content never came in whole.
func TestTheJournalKnowsWhoseContentWasFaulty(t *testing.T) {
	w := harness.Start(t, harness.Setup{Zone: friend, Config: "limits: {message_bytes: 64KiB}\n"})
	begin := func(rcpt string) *harness.Dialogue {
		return harness.Dial(t, w.SMTP).Talk("S: 220 \nC: EHLO h.example\nS: 250\nC: MAIL FROM:<ann@friend.example>\nS: 250 \nC: RCPT TO:<" + rcpt + ">\nS: 250 \nC: DATA\nS: 354 \n")
	}
	d := begin("bare@example.com")
	d.Raw("Subject: x\r\n\r\nhello\nthere\r\n.\r\n")
	d.Expect("550 5.5.2 ")
	d = begin("big@example.com")
	d.Raw("Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 2000) + ".\r\n")
	d.Expect("552 5.3.4 ")
	d = begin("cut@example.com")
	d.Raw("Subject: x\r\n\r\nhel")
	d.Close()
	for rcpt, want := range map[string]int{"bare@example.com": 550, "big@example.com": 552, "cut@example.com": 421} {
		harness.Eventually(t, "the journal tells of "+rcpt, func() bool {
			_, code := w.Command("trace", rcpt)
			return code == 0
		})
		out, _ := w.Command("trace", "--json", rcpt)
		var rec struct {
			Kind, Verb string
			From       string `json:"mail_from"`
			Reply      struct{ Code int }
		}
		if err := json.Unmarshal([]byte(out), &rec); err != nil || rec.Kind != "refusal" || rec.Verb != "DATA" || rec.From != "ann@friend.example" || rec.Reply.Code != want {
			t.Errorf("%s: want one refusal with %d, %v\n%s", rcpt, want, err, out)
		}
	}
}

func TestReloadSaysWhatCameOfIt(t *testing.T) {
	w := harness.Start(t, harness.Setup{Zone: friend, Policy: askedFor})
	both := func(want int, says string, args ...string) {
		t.Helper()
		if out, code := harness.CommandBoth(t, w.Dir, args...); code != want || !strings.Contains(out, says) {
			t.Errorf("gatepost %s: exit %d\n%s", strings.Join(args, " "), code, out)
		}
	}
	both(0, "as generation 2", "reload")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(w.Dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("policy.yaml", askedFor+"thresholds: {tag: 3}\n")
	both(0, "as generation 3", "reload")
	both(0, "as generation 4", "rollback")
	both(1, "there is no policy 99 steps back: 1 to 2 can be put back", "rollback", "99")
	var kept []struct{ Name, Sum string }
	shell{t, w}.json(&kept, 0, "rollback", "--list", "--json")
	if len(kept) != 3 {
		t.Errorf("kept: %+v", kept)
	}
	config, err := os.ReadFile(filepath.Join(w.Dir, "gatepost.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	write("gatepost.yaml", string(config)+"tls: {acme: {agree: true}}\n")
	both(1, "changed nothing: ", "reload") // it is well written, and only the running gateway cannot take it
	write("gatepost.yaml", string(config)+"tls: {acme: {agre: true}}\n")
	both(1, `unknown key "agre"`, "reload")
	write("gatepost.yaml", string(config))
	var tests struct{ Covered, Uncovered []string }
	shell{t, w}.json(&tests, 0, "test", "--json")
	if tests.Covered == nil || len(tests.Uncovered) != 1 {
		t.Errorf("tests: %+v", tests)
	}
	var accounts []struct {
		Name      string
		Roles     []string
		Addresses []string
	}
	shell{t, w}.json(&accounts, 0, "user", "list", "--json")
	if len(accounts) != 1 || accounts[0].Addresses == nil || len(accounts[0].Roles) != 1 {
		t.Errorf("accounts: %+v", accounts)
	}
	both(1, "nosuch: no such account", "user", "remove", "nosuch")
	both(0, "it would have decided 0 messages", "lists", "preview", "deny", "sender_domain", "x.example")
	both(1, "want ours, senders", "people", "list", "friends")
}

func TestASecondGatewayIsToldWhoHasTheDataDirectory(t *testing.T) {
	w := harness.Start(t, harness.Setup{Zone: friend})
	out, code := harness.CommandBoth(t, w.Dir, "serve")
	if code != 1 || !strings.Contains(out, fmt.Sprintf("is in use by process %d", w.Pid)) || !strings.Contains(out, fmt.Sprintf("kill -USR2 %d", w.Pid)) {
		t.Errorf("exit %d\n%s", code, out)
	}
}

// The sender's people read the next hop's words, and learn nothing of what is inside; ours find all of them by the reference.
func TestANextHopsRefusalReachesTheSenderWithoutWhatIsInside(t *testing.T) {
	const words = "mailbox of bob is full at srv7.corp.local [10.1.2.3]"
	w := harness.Start(t, harness.Setup{Zone: friend, Script: badsink.Script{Replies: map[string]string{badsink.Dot: "552 5.2.2 " + words}}})
	reply := w.Send("ann@friend.example", "bob@example.com", hello)
	id, ok := strings.CutPrefix(reply, "552 5.2.2 mailbox of bob is full at (internal) [(internal)]; reference ")
	if !ok {
		t.Fatalf("reply %q", reply)
	}
	harness.Eventually(t, "the journal has the words as they came", func() bool {
		out, _ := w.Command("trace", strings.TrimSpace(id))
		return strings.Contains(out, words)
	})
}

func TestTheDoctorLooksAtTheSharedState(t *testing.T) {
	addr, kill := redis(t)
	w := harness.Prepare(t, harness.Setup{Zone: friend, Config: "state: {url: \"redis://" + addr + "\"}\n"})
	said := func() string {
		c, _ := doctor(t, w)
		for _, x := range c.Checks {
			if x.Name == "shared state" {
				return x.State
			}
		}
		return "nothing"
	}
	if got := said(); got != "ok" {
		t.Errorf("with Redis: %s", got)
	}
	kill()
	if got := said(); got != "warning" {
		t.Errorf("without Redis: %s", got)
	}
}

// Whoever was refused has a reference to ask by, and it leads to the refusal.
func TestTheReferenceOfEveryRefusalIsFound(t *testing.T) {
	w := harness.Start(t, harness.Setup{Zone: friend, Policy: askedFor + `  - {name: no-thanks, when: 'message.subject == "Hello"', then: reject, class: policy, reason: Asked to be refused.}
access:
  - deny: {sender: ["eve@friend.example"], reason: We had enough of Eve.}
  - deny: {recipient: ["old@example.com"], reason: Old has left.}
`})
	refused := func(from, rcpt, because string) {
		t.Helper()
		d := harness.Dial(t, w.SMTP).Talk("S: 220 \nC: EHLO h.example\nS: 250\nC: MAIL FROM:<" + from + ">\nS: 250 \n")
		d.Raw("RCPT TO:<" + rcpt + ">\r\n")
		reply := d.Reply()
		if strings.HasPrefix(reply, "250 ") {
			d.Talk("C: DATA\nS: 354 ").Raw(harness.Wire(hello) + ".\r\n")
			reply = d.Reply()
		}
		_, id, ok := strings.Cut(reply, "; reference ")
		if !ok || reply[0] != '5' {
			t.Fatalf("%s to %s: %q", from, rcpt, reply)
		}
		id = strings.TrimSpace(id)
		harness.Eventually(t, "the reference leads to the refusal", func() bool {
			for _, command := range []string{"explain", "trace"} {
				out, code := w.Command(command, id)
				if code != 0 || !strings.Contains(out, because) || !strings.Contains(out, id) {
					return false
				}
			}
			return true
		})
	}
	refused("eve@friend.example", "bob@example.com", "We had enough of Eve.")
	refused("ann@friend.example", "old@example.com", "Old has left.")
	refused("ann@friend.example", "bob@example.com", "Hello")
}
