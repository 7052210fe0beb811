package e2e

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"gatepost/test/harness"
)

// A reviewer is a browser without scripts.
type reviewer struct {
	t      *testing.T
	client http.Client
	base   string
}

// open fetches a page and returns its HTML.
func (r *reviewer) open(path string) string {
	r.t.Helper()
	resp, err := r.client.Get(r.base + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 200 {
		r.t.Fatalf("GET %s: %d\n%s", path, resp.StatusCode, b)
	}
	return string(b)
}

var csrf = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// submit posts a form with the token of the page that holds it.
func (r *reviewer) submit(page, action string, form url.Values) string {
	r.t.Helper()
	if m := csrf.FindStringSubmatch(r.open(page)); m != nil {
		form.Set("csrf", m[1])
	}
	resp, err := r.client.PostForm(r.base+action, form)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 200 {
		r.t.Fatalf("POST %s: %d\n%s", action, resp.StatusCode, b)
	}
	return string(b)
}

// chosen is the administrator's password.
const chosen = "four quiet green gates"

// enter logs in with the one-time password and chooses another.
func enter(t *testing.T, w *harness.World) *reviewer {
	t.Helper()
	jar, _ := cookiejar.New(nil)
	r := &reviewer{t: t, client: http.Client{Jar: jar}, base: "http://" + w.Admin}
	first := regexp.MustCompile(`"password":"([a-z0-9]+)"`).FindStringSubmatch(w.Log())
	if first == nil {
		t.Fatal("no one-time password was printed")
	}
	r.submit("/login", "/login", url.Values{"name": {"admin"}, "password": {first[1]}, "next": {"/"}})
	r.submit("/account", "/account/password", url.Values{"current": {first[1]}, "password": {chosen}, "again": {chosen}})
	return r
}

func TestAReviewerFindsReadsAndReleases(t *testing.T) {
	w := harness.Start(t, harness.Setup{Zone: friend, Config: unlimited})
	w.Send("ann@friend.example", "bob@example.com", eicar)
	r := enter(t, w)

	list := r.open("/quarantine")
	id := regexp.MustCompile(`/quarantine/([0-9a-z]{26})`).FindStringSubmatch(list)
	if id == nil || !strings.Contains(list, "Test file") {
		t.Fatalf("the list does not show the message:\n%s", list)
	}
	page := r.open("/quarantine/" + id[1])
	for _, want := range []string{"attach.eicar", "EICAR test file", "ann@friend.example"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
	if w.Sink.Count() != 0 {
		t.Fatal("looking released it")
	}
	release := "/quarantine/" + id[1] + "/release"
	done := r.submit(release, release, url.Values{"rcpt": {"bob@example.com"}, "password": {chosen}})
	if !strings.Contains(done, "250 2.0.0") || w.Sink.Count() != 1 {
		t.Errorf("released: %d arrived\n%s", w.Sink.Count(), done)
	}
	if audit := r.open("/audit"); !strings.Contains(audit, id[1]) || !strings.Contains(audit, "admin") {
		t.Errorf("the audit does not know of it:\n%s", audit)
	}
	if trace := r.open("/trace?q=" + id[1]); !strings.Contains(trace, "bob@example.com") {
		t.Errorf("the trace does not know of it")
	}
}
