package admin

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// O-01, O-15: every GET and HEAD of every route as everyone changes nothing, and answers only those who may.
func TestReadingChangesNothingAndIsAnsweredByRight(t *testing.T) {
	b := newBench(t, func(c *Config, _ *Deps) { c.OIDC = OIDC{Issuer: "http://127.0.0.1:1", ClientID: "x"} })
	roles := map[string]Role{"alice": User, "rev": Reviewer, "view": ContentViewer, "aud": Auditor, "ada": Admin}
	for _, rt := range routeTable() {
		if rt.method != get {
			continue
		}
		path := b.fill(rt.pattern, "m1")
		for name, role := range roles {
			p := b.as(name)
			before := b.state()
			for _, method := range []string{get, http.MethodHead} {
				w := b.do(p, method, path, nil)
				ok := w.Code == 200 || w.Code == 303
				may := rt.open || rt.right == RightNone || slices.Contains(rightsOf(role), rt.right)
				if ok != may && !(rt.pattern == "/{$}" && name != "alice") {
					t.Errorf("%s %s as %s: %d, may: %v", method, path, role, w.Code, may)
				}
				if method == http.MethodHead && w.Body.Len() > 0 && !rt.plain {
					t.Errorf("HEAD %s has a body", path)
				}
			}
			if b.state() != before {
				t.Errorf("GET %s as %s changed something", path, role)
			}
		}
		before := b.state()
		w := b.do(nil, get, path, nil)
		if closed := w.Code == 303 && strings.HasPrefix(w.Header().Get("Location"), "/login?next=") || w.Code == 401; closed == rt.open {
			t.Errorf("GET %s without login: %d", path, w.Code)
		}
		if b.state() != before {
			t.Errorf("GET %s without login changed something", path)
		}
	}
}

// O-04, O-15: no change without the right, without the session's token, or from another site.
func TestChangingNeedsRightTokenAndOrigin(t *testing.T) {
	b := newBench(t)
	for _, rt := range routeTable() {
		if rt.method == get || rt.open {
			continue
		}
		path := b.fill(rt.pattern, "m1")
		send := func(p *person, token string, edit ...func(*http.Request)) int {
			if rt.api {
				return b.call("", rt.method, path, "{}", append(edit, func(r *http.Request) {
					r.Header.Set("X-Csrf-Token", token)
					r.AddCookie(&http.Cookie{Name: loopbackCookie, Value: p.secret})
				})...).Code
			}
			return b.do(p, rt.method, path, url.Values{"csrf": {token}}, edit...).Code
		}
		ada, aud := b.as("ada"), b.as("aud")
		before := b.state()
		for what, code := range map[string]int{
			"a wrong token":   send(ada, "wrong"),
			"another's token": send(ada, aud.csrf),
			"another site":    send(ada, ada.csrf, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }),
			"another origin":  send(ada, ada.csrf, func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }),
			"a null origin":   send(ada, ada.csrf, func(r *http.Request) { r.Header.Set("Origin", "null") }),
		} {
			if code != 403 {
				t.Errorf("%s %s with %s: %d, want 403", rt.method, path, what, code)
			}
		}
		if rt.right != RightNone && !slices.Contains(rightsOf(Auditor), rt.right) {
			if code := send(aud, aud.csrf); code != 403 {
				t.Errorf("%s %s as auditor: %d, want 403", rt.method, path, code)
			}
		}
		if b.state() != before {
			t.Errorf("%s %s changed something though it was refused", rt.method, path)
		}
	}
}

var requestID = regexp.MustCompile(`<code>[a-z0-9]{10}</code>|"request":"[a-z0-9]{10}"`)

// O-05: another's message is answered exactly as one that is not there, on every route.
func TestAnothersMessageIsNotThere(t *testing.T) {
	b := newBench(t)
	alice := b.as("alice")
	for _, rt := range routeTable() {
		if !strings.Contains(rt.pattern, "/quarantine/{id}") || !slices.Contains(rightsOf(User), rt.right) {
			continue
		}
		answer := func(id string) (int, string) {
			var w *httptest.ResponseRecorder
			switch path := b.fill(rt.pattern, id); {
			case rt.method == get:
				w = b.do(alice, get, path, nil)
			case rt.api:
				w = b.call("", rt.method, path, "{}", func(r *http.Request) {
					r.Header.Set("X-Csrf-Token", alice.csrf)
					r.AddCookie(&http.Cookie{Name: loopbackCookie, Value: alice.secret})
				})
			default:
				w = b.do(alice, rt.method, path, url.Values{"rcpt": {"bob@example.com"}})
			}
			page := strings.ReplaceAll(w.Body.String(), alice.csrf, "CSRF") // random, and may happen to hold an id
			return w.Code, strings.ReplaceAll(requestID.ReplaceAllString(page, "REQ"), id, "ID")
		}
		code, body := answer("m2")
		missing, other := answer("zz")
		if code != 404 || missing != 404 || body != other {
			t.Errorf("%s %s: another's %d, missing %d, same: %v", rt.method, rt.pattern, code, missing, body == other)
		}
	}
	if len(b.house.released)+len(b.house.deleted) > 0 {
		t.Error("something was released or deleted")
	}
}

// O-06: a recipient learns nothing of the others, on any page, export or API answer.
func TestNoPageNamesOtherRecipients(t *testing.T) {
	b := newBench(t)
	alice := b.as("alice")
	for _, path := range []string{"/quarantine", "/quarantine.csv", "/quarantine/m3", "/quarantine/m3/release", "/quarantine/m3/delete",
		"/quarantine/m3/html", "/api/v1/quarantine", "/api/v1/quarantine/m3", "/api/v1/quarantine/m3/text"} {
		w := b.do(alice, get, path, nil)
		if w.Code != 200 {
			t.Errorf("%s: %d", path, w.Code)
		}
		for _, other := range []string{"bob@example.com", "carol@example.com"} {
			if strings.Contains(w.Body.String(), other) {
				t.Errorf("%s names %s", path, other)
			}
		}
	}
}

// O-07: what one recipient releases goes to that one alone, whatever the form says.
func TestAUserReleasesOnlyOwnCopy(t *testing.T) {
	b := newBench(t)
	alice := b.as("alice")
	w := b.do(alice, post, "/quarantine/m3/release", url.Values{"rcpt": {"alice@example.com", "bob@example.com"}})
	if w.Code != 200 || !strings.Contains(w.Body.String(), "250 2.0.0 taken by the next hop") {
		t.Errorf("release: %d, want 200 with the next hop's words", w.Code)
	}
	if got := b.house.released; len(got) != 1 || got[0] != "m3 alice@example.com" {
		t.Errorf("released %q", got)
	}
}

func TestMalwareIsReleasedOnlyByAnAdministratorWithPassword(t *testing.T) {
	b := newBench(t)
	form := func() url.Values { return url.Values{"rcpt": {"alice@example.com"}} }
	for _, who := range []string{"alice", "rev"} {
		if w := b.do(b.as(who), post, "/quarantine/m4/release", form()); w.Code != 403 {
			t.Errorf("%s released malware: %d", who, w.Code)
		}
	}
	ada := b.as("ada")
	if w := b.do(ada, post, "/quarantine/m4/release", form()); w.Code != 403 {
		t.Errorf("without password: %d", w.Code)
	}
	ok := form()
	ok.Set("password", goodPassword)
	if w := b.do(ada, post, "/quarantine/m4/release", ok); w.Code != 200 || len(b.house.released) != 1 {
		t.Errorf("with password: %d, released %q", w.Code, b.house.released)
	}
}

func TestBulkAsksFirstAndLeavesMalwareOut(t *testing.T) {
	b := newBench(t)
	rev := b.as("rev")
	form := func() url.Values { return url.Values{"act": {"release"}, "id": {"m1", "m4", "zz"}} }
	if w := b.do(rev, post, "/quarantine/bulk", form()); w.Code != 200 || len(b.house.released) != 0 {
		t.Fatalf("asking: %d, released %q", w.Code, b.house.released)
	}
	sure := form()
	sure.Set("sure", "1")
	if w := b.do(rev, post, "/quarantine/bulk", sure); w.Code != 200 || len(b.house.released) != 1 {
		t.Errorf("doing: %d, released %q", w.Code, b.house.released)
	}
}
