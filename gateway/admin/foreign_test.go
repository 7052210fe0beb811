package admin

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// O-05, O-15: every endpoint that names an object, as everyone, with an object that is not there or is another's: never
// done, never a failure of ours, and nothing changes.
func TestForeignObjectsAreRefusedEverywhere(t *testing.T) {
	b := newBench(t)
	acc, err := b.people.Account(t.Context(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	_, adas, err := b.people.issue(t.Context(), acc, token{Name: "ada's", Scopes: []Right{RightList}, Created: b.now})
	if err != nil {
		t.Fatal(err)
	}
	for _, rt := range routeTable() {
		if !strings.Contains(rt.pattern, "{") || rt.provider {
			continue
		}
		for _, object := range []string{"zz", adas.ID, "0m9w9999z", "..%2f..%2fetc%2fpasswd", "%00", strings.Repeat("a", 300)} {
			path := strings.NewReplacer("{id}", object, "{name}", object, "{key}", object, "{token}", object, "{file}", object).Replace(rt.pattern)
			for _, who := range []string{"alice", "rev", "view", "aud", "ada", ""} {
				if object == adas.ID && who == "ada" {
					continue // her own
				}
				var p *person
				if who != "" {
					p = b.as(who)
				}
				before := b.state()
				var w *httptest.ResponseRecorder
				switch {
				case rt.api && rt.method != get:
					w = b.call("", rt.method, path, "{}", func(r *http.Request) {
						if p != nil {
							r.Header.Set("X-Csrf-Token", p.csrf)
							r.AddCookie(&http.Cookie{Name: loopbackCookie, Value: p.secret})
						}
					})
				case rt.method == get:
					w = b.do(p, get, path, nil)
				default:
					w = b.do(p, post, path, url.Values{"rcpt": {"alice@example.com"}, "sure": {"1"}, "verb": {"allow"}, "who": {"address"}, "reason": {"x"}, "as": {"spam"}, "act": {"release"}})
				}
				toLogin := w.Code == 303 && strings.HasPrefix(w.Header().Get("Location"), "/login")
				if !slices.Contains([]int{400, 401, 403, 404, 410}, w.Code) && !toLogin {
					t.Errorf("%s %s as %q: %d", rt.method, path, who, w.Code)
				}
				if after := b.state(); after != before && !strings.Contains(rt.pattern, "/d/") && !strings.Contains(rt.pattern, "/hold/") {
					t.Errorf("%s %s as %q changed something", rt.method, path, who)
				}
			}
		}
	}
	if list, _ := b.people.tokens(t.Context(), "ada"); len(list) != 1 {
		t.Error("somebody revoked another's token")
	}
}

// O-10: what is no proper request is refused before anything looks at it.
func TestOddRequestsAreRefused(t *testing.T) {
	b := newBench(t)
	srv := Server(b.web)
	if srv.ReadHeaderTimeout != 5*time.Second || srv.ReadTimeout != 30*time.Second || srv.WriteTimeout != 60*time.Second || srv.IdleTimeout != 60*time.Second || srv.MaxHeaderBytes != 16<<10 || srv.Protocols.HTTP2() || srv.Protocols.UnencryptedHTTP2() {
		t.Errorf("the limits of HOSTILE 4.3 are not set: %+v", srv)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go srv.Serve(l)
	defer srv.Close()
	for name, c := range map[string]struct {
		request string
		codes   []int
	}{
		"an absolute URI of another host": {"GET http://evil.example/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", []int{421}},
		"a bad host":                      {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", []int{400}},
		"two hosts":                       {"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n", []int{400}},
		"two transfer encodings":          {"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []int{400, 501}},
		"two lengths":                     {"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", []int{400}},
		"HTTP/2":                          {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []int{400, 404, 421, 505}},
		"a field that breaks the line":    {"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\rb\r\n\r\n", []int{400}},
	} {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, c.request)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err == nil && !slices.Contains(c.codes, resp.StatusCode) {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
		conn.Close()
	}
}

// O-13, N-04: the pages call nobody but the OpenID provider that the configuration names: no address that a person or a
// message gives is ever fetched.
func TestOnlyTheLoginProviderIsCalled(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") || name == "oidc.go" {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range []string{"http.Get(", "http.Post(", "http.Client", "http.DefaultClient", "http.NewRequest", "net.Dial", "http.Transport", "exec.Command"} {
			if strings.Contains(string(text), call) {
				t.Errorf("%s uses %s", name, call)
			}
		}
	}
}

// O-16: the pages are for the machine itself, unless the configuration says otherwise in so many words.
func TestPagesAreLocalUnlessSaidOtherwise(t *testing.T) {
	for address, local := range map[string]bool{"127.0.0.1:8025": true, "[::1]:8025": true, "localhost:1": true, ":8025": false, "0.0.0.0:8025": false, "[::]:8025": false, "192.0.2.1:80": false} {
		c := Defaults()
		c.Address = address
		if (c.Validate() == nil) != local {
			t.Errorf("%s is taken: %v", address, !local)
		}
		if c.Public = true; c.Validate() != nil {
			t.Errorf("%s with public is not taken: %v", address, c.Validate())
		}
	}
}
