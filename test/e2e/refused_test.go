package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
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

// TestTheQuarantineIsSealedWithAKeyFile: what is on disk is not the message, and who has the key reads it again.
func TestTheQuarantineIsSealedWithAKeyFile(t *testing.T) {
	w := harness.Start(t, harness.Setup{
		Zone: friend, Config: "quarantine: {key: {file: quarantine.key}}\n", Files: map[string]string{"quarantine.key": strings.Repeat("5c", 32) + "\n"},
	})
	if reply := w.Send("ann@friend.example", "bob@example.com", eicar); !strings.HasPrefix(reply, "250 2.") {
		t.Fatalf("reply %q", reply)
	}
	out, _ := w.Command("quarantine", "list", "--json")
	var list []struct{ ID, SHA256 string }
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 1 {
		t.Fatalf("%v\n%s", err, out)
	}
	sum := list[0].SHA256
	b, err := os.ReadFile(filepath.Join(w.Dir, "data", "quarantine", sum[:2], sum+".zst"))
	if err != nil || !strings.HasPrefix(string(b), "gatepost-sealed 1\n") {
		t.Errorf("%.20q, %v", b, err)
	}
	if out, code := w.Command("quarantine", "export", list[0].ID); code != 0 || out != strings.ReplaceAll(eicar, "\n", "\r\n") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if err := os.WriteFile(filepath.Join(w.Dir, "quarantine.key"), []byte("not a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, code := w.Command("check"); code != 1 {
		t.Errorf("a bad key is good enough for check: exit %d", code)
	}
}
