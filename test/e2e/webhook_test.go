package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/gateway/webhook"
	"gatepost/test/harness"
)

// A receiver is told what happens to mail and to the policy, signed, by the real program; one that does not answer is
// named by doctor and keeps no mail from going its way.
func TestAReceiverIsToldWhatHappens(t *testing.T) {
	const secret = "a secret of some length"
	events := make(chan webhook.Notice, 100)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var n webhook.Notice
		if err != nil || json.Unmarshal(body, &n) != nil {
			t.Errorf("%v: %s", err, body)
		}
		sig := r.Header.Get("Gatepost-Signature")
		var at int64
		if _, err := fmt.Sscanf(sig, "t=%d,", &at); err != nil || sig != webhook.Sign([]byte(secret), time.Unix(at, 0), body) {
			t.Errorf("signature %q", sig)
		}
		if time.Since(time.Unix(at, 0)) > time.Minute {
			t.Errorf("signed at %d", at)
		}
		events <- n
	}))
	defer srv.Close()
	hooks := fmt.Sprintf("webhooks:\n  - {url: %q, secret: %q, networks: [127.0.0.0/8], details: true}\n  - {name: away, url: \"http://127.0.0.1:1/\", secret: %q, networks: [127.0.0.1]}\n  - {name: inside, url: %q, secret: %q}\n",
		srv.URL, secret, secret, strings.Replace(srv.URL, "127.0.0.1", "localhost", 1), secret)
	w := harness.Start(t, harness.Setup{Zone: friend, Config: unlimited + hooks, Policy: holding})
	next := func(want webhook.Event) map[string]any {
		t.Helper()
		for {
			select {
			case n := <-events:
				if n.Event == want {
					return n.Data.(map[string]any)
				}
			case <-time.After(time.Minute):
				t.Fatalf("no %s came", want)
			}
		}
	}
	w.Send("ann@friend.example", "bob@example.com", holdMe("one"))
	held := next(webhook.Held)
	if held["subject"] != "hold me one" || held["mail_from"] != "ann@friend.example" || held["copies"] != 1.0 || held["id"] == "" {
		t.Errorf("held: %v", held)
	}
	release := "/quarantine/" + fmt.Sprint(held["id"]) + "/release"
	enter(t, w).submit(release, release, url.Values{"rcpt": {"bob@example.com"}})
	if released := next(webhook.Released); released["id"] != held["id"] || released["by"] != "admin" || w.Sink.Count() != 1 {
		t.Errorf("released: %v", released)
	}
	path := filepath.Join(w.Dir, "gatepost.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(text, "wrong: 1\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if refused := next(webhook.Refused); !strings.Contains(fmt.Sprint(refused["problem"]), "unknown key") {
		t.Errorf("refused: %v", refused)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	next(webhook.Applied)
	out, _ := w.Command("doctor", "--json")
	var report struct {
		Checks []struct{ Name, State, Detail string }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err, out)
	}
	for name, want := range map[string]string{"webhook " + strings.TrimPrefix(srv.URL, "http://"): "ok", "webhook away": "warning", "webhook inside": "warning"} {
		i := slices.IndexFunc(report.Checks, func(c struct{ Name, State, Detail string }) bool { return c.Name == name })
		if i < 0 || report.Checks[i].State != want || name == "webhook inside" && !strings.Contains(report.Checks[i].Detail, webhook.ErrAddress.Error()) {
			t.Errorf("doctor does not say that %s is %s: %s", name, want, out)
		}
	}
}
