package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"gatepost/filters/mail"
	"gatepost/test/harness"
	"gatepost/test/harness/badsink"
)

// twoFiles is a message with a program and a picture.
const twoFiles = "From: Ann <ann@friend.example>\nTo: <bob@example.com>\nSubject: Files\nDate: Mon, 23 Nov 2026 09:00:00 +0000\nMessage-ID: <12@friend.example>\nMIME-Version: 1.0\n" +
	"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nSee  the files at http://friend.example/x.\n--b\n" +
	"Content-Type: application/octet-stream; name=run.exe\nContent-Transfer-Encoding: base64\n\nTVqQAA==\n--b\nContent-Type: image/gif; name=p.gif\nContent-Transfer-Encoding: base64\n\nR0lGODlhAQ==\n--b--\n"

// The rules of this world strip for bare and careful, accept for all, and leave quoted as it came.
const stripping = `version: 1
rules:
  - {name: careful, for: careful@example.com, then: {strip: dangerous}}
  - {name: bare, for: bare@example.com, then: [{strip: attachments}, {strip: links}]}
  - {name: pass, when: "true", then: accept}
`

func TestACopyIsDeliveredWithoutItsFilesAndTheOriginalIsKept(t *testing.T) {
	w := harness.Start(t, harness.Setup{Zone: friend, Policy: stripping})
	for _, rcpt := range []string{"careful@example.com", "bare@example.com", "whole@example.com"} {
		if reply := w.Send("ann@friend.example", rcpt, twoFiles); !strings.HasPrefix(reply, "250 ") {
			t.Fatalf("%s: %q", rcpt, reply)
		}
	}
	got := w.Sink.Messages()
	if len(got) != 3 {
		t.Fatalf("%d messages arrived", len(got))
	}
	want := []struct {
		names string
		text  string
	}{{"attachment-removed.txt p.gif", "at http://friend.example/x."}, {"attachment-removed.txt attachment-removed.txt", "at hxxp[://]friend[.]example/x."}, {"run.exe p.gif", "at http://friend.example/x."}}
	for i, m := range got {
		var names []string
		parsed := mail.Parse(mail.Memory(m.Data))
		for p := range parsed.Parts() {
			if p.Name() != "" {
				names = append(names, p.Name())
			}
		}
		if strings.Join(names, " ") != want[i].names || !strings.Contains(parsed.Text(), want[i].text) {
			t.Errorf("%d: %v:\n%s", i, names, m.Data)
		}
		if marked := strings.Contains(string(m.Data), "\r\nX-Gatepost-Stripped: "); marked != (i < 2) {
			t.Errorf("%d: marked %v", i, marked)
		}
	}
	if !strings.HasSuffix(string(got[2].Data), strings.ReplaceAll(twoFiles, "\n", "\r\n")) {
		t.Errorf("the copy that is not stripped was changed:\n%s", got[2].Data)
	}

	out, _ := w.Command("quarantine", "list", "--json")
	var held []struct {
		ID    string
		Rcpts []struct{ Address, State, Reply string }
	}
	if err := json.Unmarshal([]byte(out), &held); err != nil || len(held) != 2 {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, h := range held { // whoever is asked for the original can let it go
		if out, code := w.Command("quarantine", "release", h.ID); code != 0 || !strings.Contains(out, "250") {
			t.Errorf("release: exit %d\n%s", code, out)
		}
	}
	for _, m := range w.Sink.Messages()[3:] {
		if !strings.HasSuffix(string(m.Data), strings.ReplaceAll(twoFiles, "\n", "\r\n")) {
			t.Errorf("the original is another:\n%s", m.Data)
		}
	}
}

func TestAStrippedCopyThatTheNextHopDefersLeavesNothingBehind(t *testing.T) {
	w := harness.Start(t, harness.Setup{Zone: friend, Policy: stripping, Script: badsink.Script{Replies: map[string]string{badsink.Dot: "451 4.3.0 later"}}})
	if reply := w.Send("ann@friend.example", "bare@example.com", twoFiles); !strings.HasPrefix(reply, "451 ") {
		t.Fatalf("%q", reply)
	}
	if out, _ := w.Command("quarantine", "list", "--json"); strings.Contains(out, "bare@example.com") {
		t.Errorf("the client will send it again, and yet it is kept: %s", out)
	}
}

func TestAMessageThatCannotBeStrippedForSureIsKept(t *testing.T) {
	w := harness.Start(t, harness.Setup{Zone: friend, Policy: stripping})
	odd := strings.Replace(twoFiles, "boundary=b", "boundary=b; boundary=c", 1)
	if reply := w.Send("ann@friend.example", "bare@example.com", odd); !strings.HasPrefix(reply, "250 ") {
		t.Fatalf("%q", reply)
	}
	if n := w.Sink.Count(); n != 0 {
		t.Errorf("%d messages went through", n)
	}
	if out, _ := w.Command("quarantine", "list", "--json"); !strings.Contains(out, "bare@example.com") {
		t.Errorf("it is not kept: %s", out)
	}
}
