package admin

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatepost/rules/conf"
)

// providerProgram is the OpenID provider that the tests drive: the certified one's own example server.
const providerProgram = "github.com/zitadel/oidc/v3/example/server@v3.51.17"

// startProvider builds and starts the provider on a free port, for one place to come back to.
func startProvider(t *testing.T, back string) (issuer string) {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "install", providerProgram)
	build.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=-mod=mod")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("build OpenID provider: %v\n%s", err, out)
		}
		t.Skipf("the OpenID provider %s cannot be built here, so %s does not run: %v", providerProgram, t.Name(), err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	cmd := exec.Command(filepath.Join(dir, "server"))
	cmd.Env = append(os.Environ(), fmt.Sprint("PORT=", port), "REDIRECT_URI="+back)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	issuer = fmt.Sprintf("http://localhost:%d/", port)
	for range 200 {
		if resp, err := http.Get(issuer + ".well-known/openid-configuration"); err == nil {
			resp.Body.Close()
			return issuer
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatal("the OpenID provider does not answer")
	return ""
}

// A tourist is a browser that goes from us to the provider and back.
type tourist struct {
	t *testing.T
	http.Client
	base string
}

func newTourist(t *testing.T, base string) *tourist {
	jar, _ := cookiejar.New(nil)
	return &tourist{t, http.Client{Jar: jar}, base}
}

// loginAt logs in at the provider and comes back; it returns where it ended up and what is there.
func (b *tourist) loginAt(user, password string) (string, string) {
	b.t.Helper()
	resp, err := b.PostForm(b.base+"/login/oidc", url.Values{"next": {"/account"}})
	if err != nil {
		b.t.Fatal(err)
	}
	page, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	id := regexp.MustCompile(`name="id" value="([^"]+)"`).FindSubmatch(page)
	action := regexp.MustCompile(`action="([^"]+)"`).FindSubmatch(page)
	if id == nil || action == nil {
		b.t.Fatalf("no login form at %s: %d\n%s", resp.Request.URL, resp.StatusCode, page)
	}
	to, _ := resp.Request.URL.Parse(string(action[1]))
	resp, err = b.PostForm(to.String(), url.Values{"id": {string(id[1])}, "username": {user}, "password": {password}})
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	page, _ = io.ReadAll(resp.Body)
	return resp.Request.URL.Path, string(page)
}

// Somebody logs in at a real OpenID provider and is taken back in with their own rights; an account that was made here is
// not taken over by a name that the provider hands out; a state is good once, and for the browser that was given it.
func TestLoginByAnOpenIDProvider(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := fmt.Sprintf("http://localhost:%d", l.Addr().(*net.TCPAddr).Port)
	issuer := startProvider(t, base+"/login/oidc/callback")
	b := newBench(t, func(c *Config, _ *Deps) {
		c.BaseURL = base
		c.OIDC = OIDC{Issuer: issuer, ClientID: "web", Secret: conf.NewSecret("secret"), Name: "Company", Scopes: []string{"profile", "email"}, Claim: "email", Groups: "groups"}
	})
	b.now = time.Now()
	srv := httptest.NewUnstartedServer(b.web)
	srv.Listener = l
	srv.Start()
	defer srv.Close()

	who := newTourist(t, base)
	path, page := who.loginAt("test-user@localhost", "verysecure")
	if path != "/account" || !strings.Contains(page, "test-user@zitadel.ch") {
		t.Fatalf("came back to %s\n%s", path, page)
	}
	acc, err := b.people.Account(t.Context(), "test-user@zitadel.ch")
	if err != nil || acc.Hash != "" || !strings.HasPrefix(acc.Subject, strings.TrimSuffix(issuer, "/")) || len(acc.Roles) != 1 || acc.Roles[0] != User || acc.Addresses[0] != "test-user@zitadel.ch" {
		t.Errorf("account %+v: %v", acc, err)
	}
	if _, _, err := b.people.login(t.Context(), acc.Name, "", mustAddr("127.0.0.1"), b.now); err == nil {
		t.Error("an empty password opens a provider's account")
	}
	resp, err := who.Get(base + "/quarantine/m1")
	if err != nil || resp.StatusCode != 404 {
		t.Errorf("somebody else's mail: %v", resp.Status)
	}
	if path, _ := newTourist(t, base).loginAt("test-user@localhost", "verysecure"); path != "/account" {
		t.Errorf("the second login came back to %s", path)
	}

	// The same name, made here with a password, is another person.
	if err := b.people.Remove(t.Context(), acc.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := b.people.Create(t.Context(), AccountSpec{Name: acc.Name, Roles: []Role{Admin}, Password: goodPassword}); err != nil {
		t.Fatal(err)
	}
	if path, page := newTourist(t, base).loginAt("test-user@localhost", "verysecure"); path != "/login" || !strings.Contains(page, "did not succeed") {
		t.Errorf("an account was taken over: %s", path)
	}

	before := b.state()
	for name, query := range map[string]string{"no state": "code=x", "a made-up state": "code=x&state=y", "an error": "error=access_denied&state=z"} {
		if w := b.do(nil, get, "/login/oidc/callback?"+query, nil, func(r *http.Request) { r.AddCookie(&http.Cookie{Name: oidcCookie, Value: "y"}) }); w.Code != 303 || len(w.Result().Cookies()) > 0 {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	if b.state() != before {
		t.Error("a call-back without a login changed something")
	}
}
