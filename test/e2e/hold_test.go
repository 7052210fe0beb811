package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatepost/test/harness"
	"gatepost/test/harness/badsink"
)

// A switchable sink refuses connections while it is down.
func switchable(down *atomic.Bool, otherwise func(badsink.Event) *badsink.Action) badsink.Script {
	return badsink.Script{On: func(e badsink.Event) *badsink.Action {
		if down.Load() {
			return &badsink.Action{Reset: true}
		}
		if otherwise != nil {
			return otherwise(e)
		}
		return nil
	}}
}

type heldMail struct {
	ID   string
	Rcpt []string
}

func onHold(t *testing.T, w *harness.World) []heldMail {
	t.Helper()
	out, code := w.Command("hold", "list", "--json")
	var list []heldMail
	if err := json.Unmarshal([]byte(out), &list); err != nil || code != 0 {
		t.Fatalf("hold list: exit %d, %v\n%s", code, err, out)
	}
	return list
}

func TestMailOnHoldSurvivesAKillAndIsDeliveredOnce(t *testing.T) { // P-01, R-01
	var down atomic.Bool
	down.Store(true)
	w := harness.Start(t, harness.Setup{Zone: friend, Domain: "    when_down: hold\n", Script: switchable(&down, nil)})
	if reply := w.Send("ann@friend.example", "bob@example.com", hello); !strings.HasPrefix(reply, "250 2.0.0 ") {
		t.Fatalf("reply %q", reply)
	}
	harness.Eventually(t, "the journal tells that it is held", func() bool { // its writer is a moment behind the reply
		out, _ := w.Command("trace", "bob@example.com")
		return strings.Contains(out, "bob@example.com: held")
	})
	w.Kill()
	list := onHold(t, w) // also without a gateway
	if len(list) != 1 || len(list[0].Rcpt) != 1 || list[0].Rcpt[0] != "bob@example.com" {
		t.Fatalf("on hold: %+v", list)
	}
	if out, code := w.Command("hold", "show", list[0].ID); code != 0 || !strings.Contains(out, "Good morning.") {
		t.Errorf("show: exit %d\n%s", code, out)
	}
	w.Run()
	if _, body := w.Get("/metrics"); !strings.Contains(body, "gatepost_hold_messages 1") {
		t.Errorf("metrics do not tell of the held message")
	}
	down.Store(false)
	if out, code := w.Command("hold", "retry", "--all"); code != 0 {
		t.Errorf("retry: exit %d\n%s", code, out)
	}
	if !w.Sink.Wait(1, 20*time.Second) {
		t.Fatal("held mail was not delivered")
	}
	harness.Eventually(t, "nothing is on hold", func() bool { return len(onHold(t, w)) == 0 })
	got := w.Sink.Messages()
	if len(got) != 1 || !strings.HasSuffix(string(got[0].Data), strings.ReplaceAll(hello, "\n", "\r\n")) {
		t.Errorf("%d copies", len(got))
	}
	harness.Eventually(t, "the journal tells both", func() bool {
		out, _ := w.Command("trace", "bob@example.com")
		return strings.Contains(out, "bob@example.com: held") && strings.Contains(out, "bob@example.com: delivered")
	})
}

func TestHeldMailThatIsRefusedGoesToTheQuarantineAndNothingGoesBack(t *testing.T) { // P-22, J-01
	var down atomic.Bool
	down.Store(true)
	w := harness.Start(t, harness.Setup{Zone: friend, Domain: "    when_down: hold\n", Script: switchable(&down, func(e badsink.Event) *badsink.Action {
		if e.Step == badsink.Rcpt {
			return &badsink.Action{Reply: "550 5.1.1 no such user"}
		}
		return nil
	})})
	if reply := w.Send("ann@friend.example", "bob@example.com", hello); !strings.HasPrefix(reply, "250 2.0.0 ") {
		t.Fatalf("reply %q", reply)
	}
	down.Store(false)
	w.Command("hold", "retry", "--all")
	harness.Eventually(t, "nothing is on hold", func() bool { return len(onHold(t, w)) == 0 })
	out, _ := w.Command("quarantine", "list", "--json")
	if !strings.Contains(out, "no such user") || !strings.Contains(out, `"class":"policy"`) || strings.Count(out, `"mail_from"`) != 1 {
		t.Errorf("quarantine:\n%s", out)
	}
	for _, line := range w.Sink.Lines() {
		if strings.Contains(line, "MAIL FROM:") && !strings.Contains(line, "ann@friend.example") {
			t.Errorf("the gateway wrote mail of its own: %s", line)
		}
	}
	if _, body := w.Get("/readyz"); !strings.Contains(body, "held mail") {
		t.Errorf("no alarm: %s", body)
	}
}

func TestHeldMailCanBeCancelled(t *testing.T) {
	var down atomic.Bool
	down.Store(true)
	w := harness.Start(t, harness.Setup{Zone: friend, Domain: "    when_down: hold\n", Script: switchable(&down, nil)})
	w.Send("ann@friend.example", "bob@example.com", hello)
	list := onHold(t, w)
	if len(list) != 1 {
		t.Fatalf("on hold: %+v", list)
	}
	if out, code := w.Command("hold", "cancel", list[0].ID); code != 0 || !strings.Contains(out, "removed") {
		t.Errorf("cancel: exit %d\n%s", code, out)
	}
	if list := onHold(t, w); len(list) != 0 {
		t.Errorf("on hold: %+v", list)
	}
	if _, code := w.Command("hold", "cancel", list[0].ID); code == 0 {
		t.Error("cancelled twice")
	}
	harness.Eventually(t, "the journal tells", func() bool {
		out, _ := w.Command("trace", list[0].ID)
		return strings.Contains(out, "cancelled")
	})
}

// notices are the messages that came from nobody.
func notices(w *harness.World) (list []badsink.Message) {
	for _, m := range w.Sink.Messages() {
		if m.From == "" {
			list = append(list, m)
		}
	}
	return list
}

func TestAnAuthenticatedSenderIsToldOnceAndAForgedOneNever(t *testing.T) { // J-05, J-06, J-07, P-14, R-07
	var down atomic.Bool
	down.Store(true)
	key := strings.Repeat("0123456789abcdef", 4)
	w := harness.Start(t, harness.Setup{
		// An SPF record that half the world passes vouches for nobody.
		Zone: strings.ReplaceAll(friend, "127.0.0.0/8", "127.0.0.1"), Domain: "    when_down: hold\n", Config: "hold: {notify_senders: authenticated}\nquarantine: {key: " + key + "}\n",
		Script: switchable(&down, func(e badsink.Event) *badsink.Action {
			if e.Step == badsink.Rcpt && strings.HasSuffix(e.Rcpt, "@example.com") {
				return &badsink.Action{Reply: "550 5.1.1 no such user"}
			}
			return nil
		})})
	for _, from := range []string{"ann@friend.example", "forged@nowhere.example", ""} {
		text := hello
		if from != "ann@friend.example" {
			text = strings.ReplaceAll(hello, "friend.example", "nowhere.example")
		}
		if reply := w.Send(from, "bob@example.com", text); !strings.HasPrefix(reply, "250 2.0.0 ") {
			t.Fatalf("reply %q", reply)
		}
	}
	if n := len(onHold(t, w)); n != 3 {
		t.Fatalf("%d on hold", n)
	}
	down.Store(false)
	harness.Eventually(t, "nothing is on hold", func() bool {
		w.Command("hold", "retry", "--all")
		return len(onHold(t, w)) == 0
	})
	list := notices(w)
	if len(list) != 1 || strings.Join(list[0].Rcpts, " ") != "ann@friend.example" || !strings.Contains(string(list[0].Data), "550 5.1.1 no such user") {
		t.Fatalf("%+v", list)
	}
	if out, _ := w.Command("quarantine", "list", "--json"); strings.Count(out, `"mail_from"`) != 3 {
		t.Errorf("quarantine:\n%s", out)
	}
	harness.Eventually(t, "the journal tells", func() bool {
		out, _ := w.Command("trace", "ann@friend.example")
		return strings.Contains(out, "the sender was told")
	})
}

func TestHeldMailIsSealedOnTheDiskAndAMissingKeyStopsTheStart(t *testing.T) {
	var down atomic.Bool
	down.Store(true)
	key := strings.Repeat("0123456789abcdef", 4)
	w := harness.Prepare(t, harness.Setup{
		Zone: friend, Domain: "    when_down: hold\n", Config: "quarantine: {key: {file: body.key}}\n", Script: switchable(&down, nil), Files: map[string]string{"body.key": key + "\n"}})
	w.Run()
	if reply := w.Send("ann@friend.example", "bob@example.com", hello); !strings.HasPrefix(reply, "250 2.0.0 ") {
		t.Fatalf("reply %q", reply)
	}
	files, err := filepath.Glob(filepath.Join(w.Dir, "data", "hold", "*.mail"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	_, body, _ := strings.Cut(hello, "\n\n")
	if b, err := os.ReadFile(files[0]); err != nil || strings.Contains(string(b), strings.TrimSpace(body)) {
		t.Errorf("the text can be read, or the file cannot: %v", err)
	}
	list := onHold(t, w)
	if out, code := w.Command("hold", "show", list[0].ID); code != 0 || !strings.Contains(out, strings.TrimSpace(body)) {
		t.Errorf("exit %d\n%s", code, out)
	}
	w.Stop()
	if err := os.WriteFile(filepath.Join(w.Dir, "body.key"), []byte(strings.Repeat("f", 64)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(harness.Binary(t), "serve", "-c", filepath.Join(w.Dir, "gatepost.yaml"))
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "quarantine.key") {
		t.Errorf("started with another key: %v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(w.Dir, "body.key"), []byte(strings.Repeat("f", 64)+"\n"+key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	down.Store(false)
	w.Run()
	w.Command("hold", "retry", "--all")
	if !w.Sink.Wait(1, 20*time.Second) {
		t.Fatal("it did not arrive")
	}
	if got := string(w.Sink.Messages()[0].Data); !strings.HasSuffix(got, strings.ReplaceAll(body, "\n", "\r\n")) {
		t.Errorf("%q", got)
	}
}
