package e2e

import (
	"encoding/json"
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
