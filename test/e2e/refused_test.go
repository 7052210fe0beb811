package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"gatepost/test/harness"
)

// TestWhatIsRefusedIsKeptAndCanBeReleased: the sender is told no at once, and a reviewer can still have the message.
func TestWhatIsRefusedIsKeptAndCanBeReleased(t *testing.T) {
	w := harness.Start(t, harness.Setup{Zone: friend, Config: "quarantine: {keep_refused: true, retention: {refused: 2d}}\n"})
	if reply := w.Send("x@friend.example", "bob@example.com", spoofed); !strings.HasPrefix(reply, "550 5.7.26 ") {
		t.Fatalf("reply %q", reply)
	}
	out, _ := w.Command("quarantine", "list", "--json")
	var list []struct {
		ID            string
		Refused       bool
		Time, Expires time.Time
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 1 || !list[0].Refused || list[0].Expires.Sub(list[0].Time) != 48*time.Hour {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, code := w.Command("quarantine", "show", list[0].ID); code != 0 || !strings.Contains(out, "its sender was told no") {
		t.Errorf("exit %d\n%s", code, out)
	}
	harness.Eventually(t, "the journal tells both", func() bool {
		out, _ := w.Command("trace", "bob@example.com")
		return strings.Contains(out, "refused") && strings.Contains(out, "a copy is kept in the quarantine")
	})
	if out, code := w.Command("quarantine", "release", list[0].ID); code != 0 || !strings.Contains(out, "250 2.0.0 taken") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if !w.Sink.Wait(1, 20*time.Second) {
		t.Fatal("not released")
	}
	if got := string(w.Sink.Messages()[0].Data); !strings.HasSuffix(got, strings.ReplaceAll(spoofed, "\n", "\r\n")) {
		t.Errorf("changed:\n%s", got)
	}
}
