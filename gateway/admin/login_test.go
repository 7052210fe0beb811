package admin

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/gateway/db"
	"gatepost/test/harness/postgres"
)

func (b *bench) login(name, password string, edit ...func(*http.Request)) *httptest.ResponseRecorder {
	return b.do(nil, post, "/login", url.Values{"name": {name}, "password": {password}}, edit...)
}

// O-08: from the fifth failure on an account must wait, twice as long each time, even with the right password; an
// unknown name is answered like a known one.
func TestGuessingIsSlow(t *testing.T) {
	b := newBench(t)
	for range 5 {
		if w := b.login("ada", "wrong"); w.Code != 401 {
			t.Fatalf("wrong password: %d", w.Code)
		}
	}
	if w := b.login("ada", goodPassword); w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Errorf("after five failures: %d", w.Code)
	}
	b.now = b.now.Add(firstDelay)
	if w := b.login("ada", "wrong"); w.Code != 401 {
		t.Errorf("after the delay: %d", w.Code)
	}
	b.now = b.now.Add(firstDelay)
	if w := b.login("ada", goodPassword); w.Code != 429 {
		t.Errorf("the delay did not double: %d", w.Code)
	}
	b.now = b.now.Add(firstDelay)
	if w := b.login("ada", goodPassword); w.Code != 303 {
		t.Errorf("after the doubled delay: %d", w.Code)
	}
	known, unknown := b.login("rev", "wrong").Body.String(), b.login("xyz", "wrong").Body.String()
	if strings.ReplaceAll(known, "rev", "") != strings.ReplaceAll(unknown, "xyz", "") {
		t.Error("an unknown name is answered otherwise than a known one")
	}
}

// O-08: one network that tries many names must wait, too.
func TestSprayingIsSlow(t *testing.T) {
	d := newDelays()
	now := time.Now()
	for i := range 5 {
		d.fail(now, "name "+string(rune('a'+i)), "net 192.0.2.0/24")
	}
	if d.wait(now, "name new", "net 192.0.2.0/24") != firstDelay || d.wait(now, "name new") != 0 {
		t.Error("five names from one network cost nothing, or too much")
	}
	for range 40 {
		d.fail(now, "name x")
	}
	if d.wait(now, "name x") != longestDelay {
		t.Error("the delay has no cap, or grew past its range")
	}
	d.maxKeys = 100
	for i := range 10000 {
		d.fail(now, "n"+string(rune(i)))
	}
	if len(d.failed) > 101 {
		t.Errorf("%d keys remembered", len(d.failed))
	}
}

// O-09: a new id at login, gone at logout, at a new password, at other roles, and with time.
func TestSessionsEnd(t *testing.T) {
	b := newBench(t)
	in := func(p *person) bool { return b.do(p, get, "/account", nil).Code == 200 }
	old := b.as("ada")
	w := b.login("ada", goodPassword, func(r *http.Request) { r.AddCookie(&http.Cookie{Name: loopbackCookie, Value: old.secret}) })
	if w.Code == 303 {
		t.Fatal("a login inside a session needs the session's token")
	}
	w = b.login("ada", goodPassword)
	c := w.Result().Cookies()[0]
	if c.Name != loopbackCookie || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || len(c.Value) < 43 || c.Value == old.secret {
		t.Errorf("cookie %v", c)
	}
	if b.do(old, post, "/logout", url.Values{}); in(old) {
		t.Error("a session outlives its logout")
	}
	idle := b.as("ada")
	b.now = b.now.Add(31 * time.Minute)
	if in(idle) {
		t.Error("a session outlives idleness")
	}
	long := b.as("ada")
	for range 26 {
		b.now = b.now.Add(28 * time.Minute)
		if !in(long) {
			break
		}
	}
	if in(long) {
		t.Error("a session outlives 12 hours")
	}
	rev := b.as("rev")
	if err := b.people.SetRoles(t.Context(), "rev", []Role{Auditor}, nil); err != nil || in(rev) {
		t.Error("a session outlives a change of roles: ", err)
	}
	rev = b.as("rev")
	if err := b.people.SetPassword(t.Context(), "rev", "another-long-phrase", false); err != nil || in(rev) {
		t.Error("a session outlives its password: ", err)
	}
}

// O-09: over https the cookie is bound to the host; over plain http from elsewhere no password is taken.
func TestCookieFollowsTheScheme(t *testing.T) {
	b := newBench(t, func(c *Config, _ *Deps) { c.BaseURL = "https://mail.example.com" })
	w := b.login("ada", goodPassword, func(r *http.Request) { r.Host = "mail.example.com" })
	c := w.Result().Cookies()
	if len(c) != 1 || c[0].Name != secureCookie || !c[0].Secure || c[0].Path != "/" || c[0].Domain != "" || w.Header().Get("Strict-Transport-Security") == "" {
		t.Errorf("%d, cookies %v", w.Code, c)
	}
	plain := newBench(t)
	if w := plain.login("ada", goodPassword, func(r *http.Request) { r.RemoteAddr = "192.0.2.7:999" }); w.Code != 403 || len(w.Result().Cookies()) > 0 {
		t.Errorf("plain http from afar: %d", w.Code)
	}
}

func TestSetupPasswordIsGoodForOneLogin(t *testing.T) {
	b := newBench(t)
	people := newAccounts(&MemoryShelf{}, cost{1, 64, 1})
	password, err := people.Setup(t.Context())
	if err != nil || len(password) < 20 {
		t.Fatal(password, err)
	}
	if again, err := people.Setup(t.Context()); again != "" || err != nil {
		t.Error("a second set-up password was made")
	}
	if err := b.people.SetPassword(t.Context(), "ada", "given-by-the-house", true); err != nil {
		t.Fatal(err)
	}
	ada := b.as("ada")
	if w := b.do(ada, get, "/quarantine", nil); w.Code != 303 || w.Header().Get("Location") != "/account" {
		t.Errorf("before the change: %d", w.Code)
	}
	if w := b.do(ada, post, "/account/password", url.Values{"current": {"given-by-the-house"}, "password": {"short"}}); w.Code != 400 {
		t.Errorf("a short password: %d", w.Code)
	}
	w := b.do(ada, post, "/account/password", url.Values{"current": {"given-by-the-house"}, "password": {goodPassword}})
	if w.Code != 303 || len(w.Result().Cookies()) != 1 {
		t.Errorf("changing: %d", w.Code)
	}
}

func TestPasswordsAreHashedAndChecked(t *testing.T) {
	h := cost{1, 64, 1}.hash(goodPassword, []byte("0123456789abcdef"))
	if !strings.HasPrefix(h, "$argon2id$v=19$m=64,t=1,p=1$") || !matches(h, goodPassword) || matches(h, "other") || matches("", "") || matches("$argon2id$v=19$m=4194304,t=99,p=1$AA$AA", "") {
		t.Error("a hash does not do its work: ", h)
	}
	for _, weak := range []string{"short", "passwordpassword", "aaaaaaaaaaaaaaaa", "ada-ada-ada-ada", strings.Repeat("x", 2000)} {
		if checkPassword(weak, "ada") == nil {
			t.Errorf("%.20q is taken for a good password", weak)
		}
	}
}

func TestTheLastAdministratorStays(t *testing.T) {
	b := newBench(t)
	if err := b.people.Remove(t.Context(), "ada"); err != ErrLastAdmin {
		t.Error(err)
	}
	if err := b.people.SetRoles(t.Context(), "ada", []Role{Auditor}, nil); err != ErrLastAdmin {
		t.Error(err)
	}
}

// API tokens are scoped, hashed, expiring and revocable, and never more than their owner may.
func TestTokensAreScoped(t *testing.T) {
	b := newBench(t)
	acc, _ := b.people.Account(t.Context(), "rev")
	secret, tok, err := b.people.issue(t.Context(), acc, token{Name: "x", Scopes: []Right{RightList, RightPeople}, Created: b.now, Expires: b.now.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/api/v1/quarantine": 200, "/api/v1/trace": 403, "/api/v1/accounts": 403} {
		if w := b.call(secret, get, path, ""); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
	if strings.Contains(b.state(), secret) {
		t.Error("the secret is stored")
	}
	if w := b.call(secret, post, "/api/v1/quarantine/m1/release", ""); w.Code != 403 {
		t.Errorf("release beyond the scope: %d", w.Code)
	}
	if w := b.do(nil, get, "/quarantine", nil, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+secret) }); w.Code != 303 {
		t.Errorf("a token opened a page: %d", w.Code)
	}
	b.now = b.now.Add(2 * time.Hour)
	if w := b.call(secret, get, "/api/v1/quarantine", ""); w.Code != 401 {
		t.Errorf("expired: %d", w.Code)
	}
	b.now = b.now.Add(-2 * time.Hour)
	if found, err := b.people.revoke(t.Context(), "rev", tok.ID); !found || err != nil || b.call(secret, get, "/api/v1/quarantine", "").Code != 401 {
		t.Error("a revoked token works: ", found, err)
	}
}

// The shelf in memory and the one in the durable store keep the same promises.
func TestShelvesKeepTheirPromises(t *testing.T) {
	shelves := map[string]Shelf{"memory": &MemoryShelf{}}
	for name, url := range map[string]string{"sqlite": "sqlite:" + filepath.Join(t.TempDir(), "x.db"), "postgres": postgres.Fresh(t)} {
		store, err := db.Open(url)
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		if shelves[name], err = NewSQLShelf(t.Context(), store); err != nil {
			t.Fatal(err)
		}
	}
	for name, s := range shelves {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			for _, d := range []Document{{Kind: "a", Key: "2", Owner: "x", Body: []byte(`{"v":1}`)}, {Kind: "a", Key: "1", Owner: "y", Body: []byte("one")},
				{Kind: "a", Key: "2", Owner: "x", Body: []byte("two")}, {Kind: "a", Key: "3", Owner: "x", Expires: time.Now().Add(-time.Second)}} {
				if err := s.Put(ctx, d); err != nil {
					t.Fatal(err)
				}
			}
			if b, err := s.Get(ctx, "a", "2"); string(b) != "two" || err != nil {
				t.Errorf("got %q, %v", b, err)
			}
			if b, err := s.Get(ctx, "a", "3"); b != nil || err != nil {
				t.Errorf("expired: %q, %v", b, err)
			}
			if list, err := s.List(ctx, "a", ""); len(list) != 2 || list[0].Key != "1" || err != nil {
				t.Errorf("list %v, %v", list, err)
			}
			if list, err := s.List(ctx, "a", "x"); len(list) != 1 || err != nil {
				t.Errorf("list of x %v, %v", list, err)
			}
			for _, c := range []struct {
				d    Document
				want bool
			}{{Document{Kind: "a", Key: "2", Owner: "z"}, false}, {Document{Kind: "a", Key: "3", Owner: "z", Body: []byte("over")}, true}, {Document{Kind: "a", Key: "4", Owner: "x", Expires: time.Now().Add(time.Hour)}, true}, {Document{Kind: "a", Key: "4"}, false}} {
				if got, err := s.Swap(ctx, c.d, nil); got != c.want || err != nil {
					t.Errorf("add %s: %v, %v", c.d.Key, got, err)
				}
			}
			if list, err := s.ListOf(ctx, "a", []string{"x", "z", "nobody"}); len(list) != 3 || list[0].Key != "2" || list[1].Key != "3" || list[2].Key != "4" || err != nil {
				t.Errorf("list of x and z %v, %v", list, err)
			}
			first, _ := s.Delete(ctx, "a", "2")
			second, err := s.Delete(ctx, "a", "2")
			if !first || second || err != nil {
				t.Errorf("delete twice: %v, %v, %v", first, second, err)
			}
			made, over := Document{Kind: "b", Key: "k", Body: []byte("new")}, Document{Kind: "c", Key: "3", Body: []byte("new")}
			if err := s.Put(ctx, Document{Kind: "c", Key: "3", Body: []byte("old"), Expires: time.Now().Add(-time.Hour)}); err != nil {
				t.Fatal(err)
			}
			for i, c := range []struct {
				d    Document
				was  []byte
				done bool
			}{{made, []byte("x"), false}, {made, nil, true}, {made, nil, false}, {made, []byte("old"), false}, {made, []byte("new"), true}, {over, nil, true}} {
				if done, err := s.Swap(ctx, c.d, c.was); done != c.done || err != nil {
					t.Errorf("swap %d: %v, %v", i, done, err)
				}
			}
		})
	}
}
