package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatepost/test/harness"
	"gatepost/test/harness/postgres"
)

// held are the ids of what a gateway's quarantine lists.
func held(t *testing.T, w *harness.World) (ids []string) {
	t.Helper()
	out, _ := w.Command("quarantine", "list", "--json")
	var list []struct{ ID string }
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, e := range list {
		ids = append(ids, e.ID)
	}
	return ids
}

// pair is two gateways on one database, with one next hop.
func pair(t *testing.T, config string) (one, two *harness.World, db *postgres.Server) {
	t.Helper()
	db = postgres.Start(t)
	setup := harness.Setup{Zone: friend, Config: "store: {url: \"" + db.Database(t) + "\"}\n" + config}
	one = harness.Prepare(t, setup)
	setup.Downstream = one.Sink.Address()
	two = harness.Prepare(t, setup)
	var wg sync.WaitGroup
	for _, w := range []*harness.World{one, two} {
		wg.Go(w.Run) // both at once: the tables are made by one of them, and so is the first account
	}
	wg.Wait()
	return one, two, db
}

// TestGatewaysThatShareAStoreAreEqual: what one took another lists, shows, releases, and knows.
func TestGatewaysThatShareAStoreAreEqual(t *testing.T) {
	one, two, _ := pair(t, "filters: {bayes: {min_spam: 20, min_ham: 20}}\n")
	if n := one.Logged("log in once as admin") + two.Logged("log in once as admin"); n != 1 {
		t.Errorf("%d first passwords were made", n)
	}
	add := exec.Command(harness.Binary(t), "user", "add", "rev")
	add.Dir, add.Stdin = one.Dir, strings.NewReader("correct horse battery\n")
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("user add: %v %s", err, out)
	}
	if out, _ := two.Command("user", "list"); !strings.Contains(out, "rev") || !strings.Contains(out, "admin") {
		t.Errorf("accounts: %s", out)
	}

	for range 2 {
		if reply := one.Send("ann@friend.example", "bob@example.com", eicar); !strings.HasPrefix(reply, "250 2.") {
			t.Fatalf("reply %q", reply)
		}
	}
	ids := held(t, two)
	if len(ids) != 2 {
		t.Fatalf("the other gateway lists %v", ids)
	}
	if _, err := os.Stat(filepath.Join(one.Dir, "data", "quarantine")); err == nil {
		t.Error("content is kept on one machine")
	}
	if out, code := two.Command("quarantine", "show", ids[0]); code != 0 || !strings.Contains(out, "class malware") {
		t.Errorf("show: %s", out)
	}

	// Two are asked at once: one delivers.
	var wg sync.WaitGroup
	for _, w := range []*harness.World{one, two, one, two} {
		wg.Go(func() { w.Command("quarantine", "release", ids[0]) })
	}
	wg.Wait()
	if n := one.Sink.Count(); n != 1 {
		t.Errorf("%d deliveries of one release", n)
	}

	// What one recorded the other explains, and who acted on which.
	if reply := one.Send("ann@friend.example", "bob@example.com", letterFrom("friend.example")); !strings.HasPrefix(reply, "250 2.") {
		t.Fatalf("reply %q", reply)
	}
	harness.Eventually(t, "the other gateway reads what the one recorded", func() bool {
		out, _ := two.Command("trace", "bob@example.com")
		return strings.Count(out, "judged accept") == 1 && strings.Count(out, "judged quarantine") == 2 && strings.Count(out, "release by shell") == 1
	})
	if out, code := two.Command("explain", ids[0]); code != 0 || !strings.Contains(out, "attach.") {
		t.Errorf("explain: exit %d, %s", code, out)
	}

	// The one is gone for good.
	one.Kill()
	if out, code := two.Command("quarantine", "export", ids[1]); code != 0 || out != strings.ReplaceAll(eicar, "\n", "\r\n") {
		t.Errorf("export: exit %d, %q", code, out)
	}
	if out, code := two.Command("quarantine", "release", ids[1]); code != 0 || !strings.Contains(out, "250 2.0.0 taken") {
		t.Errorf("release: exit %d, %s", code, out)
	}
	if n := one.Sink.Count(); n != 3 {
		t.Errorf("%d deliveries of two releases and a clean message", n)
	}
	if out, code := two.Command("quarantine", "verify"); code != 0 || !strings.Contains(out, "2 messages read, 0 damaged") {
		t.Errorf("verify: exit %d, %s", code, out)
	}

	// What was taught where the one stood counts at the other.
	for n := range 30 {
		for kind, sells := range map[string]bool{"spam": true, "ham": false} {
			path := filepath.Join(one.Dir, kind, string(rune('a'+n)))
			os.MkdirAll(filepath.Dir(path), 0o700)
			if err := os.WriteFile(path, []byte(lesson(sells, n)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if out, code := one.Command("train", "--spam", filepath.Join(one.Dir, "spam"), "--ham", filepath.Join(one.Dir, "ham")); code != 0 {
		t.Fatalf("train: %s", out)
	}
	harness.Eventually(t, "the other gateway judges by what was taught", func() bool {
		time.Sleep(500 * time.Millisecond) // or so many connections of one client are too many
		two.Send("ann@friend.example", "bob@example.com", lesson(true, 98))
		out, _ := two.Command("trace", "--json", "98@friend.example")
		return strings.Contains(out, "bayes.spam-")
	})
	if out, code := two.Command("doctor"); !strings.Contains(out, "ok       store: postgres://127.0.0.1:") {
		t.Errorf("doctor: exit %d\n%s", code, out)
	}
}

// TestMailFlowsWhileTheStoreIsAway: what need not be kept is delivered, what must be is told to come again, everybody who
// looks is told, and nothing need be restarted.
func TestMailFlowsWhileTheStoreIsAway(t *testing.T) {
	one, _, db := pair(t, "")
	send := func(text string) string { return one.Send("ann@friend.example", "bob@example.com", text) }
	for name, c := range map[string]struct{ away, back func() }{
		"killed":  {db.Kill, func() { db.Run(t) }},
		"stopped": {func() { db.Signal(syscall.SIGSTOP) }, func() { db.Signal(syscall.SIGCONT) }},
	} {
		c.away()
		harness.Eventually(t, "the store is known to be away", func() bool {
			status, body := one.Get("/readyz")
			return status == 503 && strings.Contains(body, `"store"`)
		})
		if reply := send(letterFrom("friend.example")); !strings.HasPrefix(reply, "250 2.") {
			t.Errorf("%s: clean mail: %s", name, reply)
		}
		if reply := send(eicar); !strings.HasPrefix(reply, "451 4.") {
			t.Errorf("%s: mail that would be held: %s", name, reply)
		}
		resp, err := http.PostForm("http://"+one.Admin+"/login", url.Values{"name": {"admin"}, "password": {"whatever it is"}})
		if err != nil {
			t.Fatal(err)
		}
		page, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 503 || !strings.Contains(string(page), "store of this site cannot be reached") {
			t.Errorf("%s: login: %d %s", name, resp.StatusCode, page)
		}
		if out, code := one.Command("doctor"); code != 1 || !strings.Contains(out, "CRITICAL store: ") {
			t.Errorf("%s: doctor: exit %d\n%s", name, code, out)
		}
		if out, code := one.Command("trace", "bob@example.com"); code != 0 || !strings.Contains(out, "judged accept") {
			t.Errorf("%s: trace: exit %d\n%s", name, code, out)
		}
		if out, code := one.Command("quarantine", "list"); code != 1 {
			t.Errorf("%s: list: exit %d\n%s", name, code, out)
		}
		c.back()
		harness.Eventually(t, "the store is back", func() bool {
			status, _ := one.Get("/readyz")
			return status == 200
		})
		if reply := send(eicar); !strings.HasPrefix(reply, "250 2.") {
			t.Errorf("%s: mail that is held: %s", name, reply)
		}
	}
	if ids := held(t, one); len(ids) != 2 {
		t.Errorf("held: %v", ids)
	}
	if strings.Contains(one.Log(), postgres.Password) || strings.Contains(one.Log(), "very%3Asecret") {
		t.Error("the log tells the password")
	}
}

// TestAGatewayWaitsForItsStore when both start at the same time, and refuses one that forgets.
func TestAGatewayWaitsForItsStore(t *testing.T) {
	db := postgres.Start(t)
	url := db.Database(t)
	db.Stop()
	w := harness.Prepare(t, harness.Setup{Zone: friend, Config: "store: {url: \"" + url + "\"}\n"})
	done := make(chan struct{})
	go func() {
		defer close(done)
		time.Sleep(2 * time.Second)
		db.Run(t)
	}()
	w.Run()
	<-done
	if w.Logged("waiting for the store") == 0 {
		t.Error("it does not say what it waits for")
	}
	forgetful := postgres.Start(t, "fsync = off")
	w = harness.Prepare(t, harness.Setup{Zone: friend, Config: "store: {url: \"" + forgetful.Database(t) + "\"}\n"})
	if out, code := w.Command("serve"); code != 1 {
		t.Errorf("exit %d %s", code, out)
	}
	if out, code := w.Command("doctor"); code != 1 || !strings.Contains(out, "fsync=off") {
		t.Errorf("doctor: exit %d\n%s", code, out)
	}
}
