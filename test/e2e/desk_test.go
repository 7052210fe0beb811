package e2e

import (
	"html"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatepost/test/harness"
)

// holding holds what says so in its subject, and nothing else.
const holding = `version: 1
rules:
  - name: held-by-subject
    when: message.subject.contains("hold me")
    then: quarantine
    class: spam
    reason: "Its subject asks for it."
`

// holdMe is one message that holding holds.
func holdMe(n string) string {
	return strings.NewReplacer("Subject: Hello", "Subject: hold me "+n, "<1@", "<"+n+"@").Replace(hello)
}

var heldID = regexp.MustCompile(`/quarantine/([0-9a-z]{26})`)

// The sender of a held message is allowed while it is released, and denied while another is deleted; both take effect
// at once, are listed and audited, survive a restart, and can be taken back.
func TestASenderIsAllowedAndDeniedInOneStep(t *testing.T) {
	w := harness.Start(t, harness.Setup{Zone: friend, Config: unlimited, Policy: holding})
	r := enter(t, w)
	send := func(n string) string { return w.Send("ann@friend.example", "bob@example.com", holdMe(n)) }
	send("one")
	id := heldID.FindStringSubmatch(r.open("/quarantine"))
	if id == nil || w.Sink.Count() != 0 {
		t.Fatal("it is not held")
	}
	release := "/quarantine/" + id[1] + "/release"
	if page := r.open(release); !strings.Contains(page, "proved that it comes from friend.example") {
		t.Error("the page does not say that the sender is proved")
	}
	done := r.submit(release, release, url.Values{"rcpt": {"bob@example.com"}, "who": {"domain"}, "days": {"30"}, "reason": {"asked for by accounting"}})
	if !strings.Contains(done, "@friend.example") || !strings.Contains(done, "250 2.0.0") || w.Sink.Count() != 1 {
		t.Errorf("released and allowed: %d arrived\n%s", w.Sink.Count(), done)
	}
	if send("two"); w.Sink.Count() != 2 {
		t.Errorf("an allowed sender is held: %d arrived", w.Sink.Count())
	}
	lists := r.open("/lists")
	for _, want := range []string{"@friend.example", "asked for by accounting", "by admin", "2 hits in 14 days"} {
		if !strings.Contains(lists, want) {
			t.Errorf("the list does not show %q", want)
		}
	}
	if audit := r.open("/audit"); !strings.Contains(audit, "entry added") || !strings.Contains(audit, "allow sender @friend.example") {
		t.Error("the audit does not know of the entry")
	}
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	w.Run()
	r.base = "http://" + w.Admin
	if send("three"); w.Sink.Count() != 3 {
		t.Errorf("after a restart it is held: %d arrived", w.Sink.Count())
	}
	key := regexp.MustCompile(`/lists/([0-9a-f]+)/remove`).FindStringSubmatch(r.open("/lists"))
	if key == nil {
		t.Fatal("the entry cannot be removed")
	}
	r.submit("/lists", "/lists/"+key[1]+"/remove", url.Values{"sure": {"1"}})
	if send("four"); w.Sink.Count() != 3 {
		t.Error("it is still allowed")
	}
	id = heldID.FindStringSubmatch(r.open("/quarantine?q=four"))
	del := "/quarantine/" + id[1] + "/delete"
	r.submit(del, del, url.Values{"rcpt": {"bob@example.com"}, "who": {"address"}, "days": {"never"}, "reason": {"unwanted"}})
	d := harness.Dial(t, w.SMTP)
	d.Talk("S: 220\nC: EHLO c.example\nS: 250\nC: MAIL FROM:<ann@friend.example>\nS: 250\nC: RCPT TO:<bob@example.com>\nS: 550 5.7.1")
	if trace := r.open("/trace?q=ann@friend.example"); !strings.Contains(trace, "550 5.7.1") {
		t.Error("the trace does not show the refusal")
	}
}

// A draft is checked, replayed and put in force on the pages; what is broken or fails its tests changes nothing, nor
// does a draft of a file that somebody else changed; the policy before can be put back.
func TestAPolicyIsChangedOnThePages(t *testing.T) {
	w := harness.Start(t, harness.Setup{Zone: friend, Config: unlimited, Policy: holding})
	r := enter(t, w)
	w.Send("ann@friend.example", "bob@example.com", holdMe("one"))
	file := filepath.Join(w.Dir, "policy.yaml")
	onDisk := func() string { b, _ := os.ReadFile(file); return string(b) }
	field := func(page, name string) string {
		m := regexp.MustCompile(`(?s)name="` + name + `" value="([^"]*)"`).FindStringSubmatch(page)
		if m == nil {
			t.Fatalf("no field %s", name)
		}
		return html.UnescapeString(m[1])
	}
	base := field(r.open("/policy/draft"), "base")
	form := func(text string) url.Values { return url.Values{"text": {text}, "base": {base}} }

	checked := r.submit("/policy/draft", "/policy/check", form(strings.Replace(holding, "then:", "thn:", 1)))
	if !strings.Contains(checked, "thn") || !strings.Contains(checked, "Line") {
		t.Errorf("the check does not name the key:\n%s", checked)
	}
	for _, elsewhere := range []string{"lists: {x: {file: /etc/passwd}}", "lists: {x: {file: ../../../../etc/passwd}}", "lists: {x: {file: /dev/zero}}",
		"tests:\n  - name: x\n    given: {message: /etc/passwd, rcpt: [c@example.com]}\n    expect: {action: accept}"} {
		if page := r.submit("/policy/draft", "/policy/check", form("version: 1\n"+elsewhere+"\n")); !strings.Contains(page, "may only name files in the directory") || strings.Contains(page, "root:") {
			t.Errorf("a draft reads what is not its own: %s", elsewhere)
		}
	}
	milder := strings.Replace(holding, "then: quarantine", "then: tag", 1)
	replayed := r.submit("/policy/draft", "/policy/replay", form(milder))
	for _, want := range []string{"1 message judged again", "1 would be treated otherwise", "rule held-by-subject", "hold me one"} {
		if !strings.Contains(replayed, want) {
			t.Errorf("the replay does not say %q", want)
		}
	}
	if onDisk() != holding {
		t.Fatal("looking changed the file")
	}
	r.submit("/policy/draft", "/policy/apply", form(milder))
	if onDisk() != milder {
		t.Fatal("the draft is not in place")
	}
	if w.Send("ann@friend.example", "bob@example.com", holdMe("two")); w.Sink.Count() != 1 {
		t.Errorf("the draft is not in force: %d arrived", w.Sink.Count())
	}
	form2 := url.Values{"text": {holding}, "base": {base}} // made from what is not there any more
	if resp, err := r.client.PostForm(r.base+"/policy/apply", withToken(r, "/policy/draft", form2)); err != nil || resp.StatusCode != 409 {
		t.Errorf("a draft of an older file: %v", resp.Status)
	}
	base = field(r.open("/policy/draft"), "base")
	failing := milder + "tests:\n  - name: cannot be\n    given: {mail_from: a@b.example, rcpt: [c@example.com], findings: [dmarc.fail]}\n    expect: {action: reject}\n"
	if resp, err := r.client.PostForm(r.base+"/policy/apply", withToken(r, "/policy/draft", form(failing))); err != nil || resp.StatusCode != 422 || onDisk() != milder {
		t.Errorf("a draft that fails its test: %v", resp.Status)
	}
	names := regexp.MustCompile(`/policy/kept/([0-9TZ.a-f-]+)`).FindAllStringSubmatch(r.open("/policy"), -1)
	if len(names) != 2 {
		t.Fatalf("%d policies are kept", len(names))
	}
	kept := "/policy/kept/" + names[1][1]
	if page := r.open(kept); !strings.Contains(page, "rule held-by-subject") {
		t.Error("the earlier policy does not show what it would change")
	}
	r.submit(kept, kept, url.Values{})
	if onDisk() != holding {
		t.Error("the earlier policy is not back")
	}
	if audit := r.open("/audit"); !strings.Contains(audit, "policy changed") || !strings.Contains(audit, "policy put back") {
		t.Error("the audit does not know of the changes")
	}
	id := heldID.FindStringSubmatch(r.open("/quarantine"))
	draft := r.submit("/quarantine/"+id[1]+"/test", "/quarantine/"+id[1]+"/test", url.Values{})
	if !strings.Contains(draft, "is treated as it was: quarantine") || !strings.Contains(draft, "Tests passed: 1") {
		t.Errorf("a test of the message:\n%s", draft)
	}
}

// withToken adds the token of a page to a form.
func withToken(r *reviewer, page string, form url.Values) url.Values {
	form.Set("csrf", csrf.FindStringSubmatch(r.open(page))[1])
	return form
}
