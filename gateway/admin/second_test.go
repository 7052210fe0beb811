package admin

import (
	"encoding/base32"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// The codes are those of RFC 6238, appendix B, cut to six digits.
func TestCodesAreThoseOfTheStandard(t *testing.T) {
	secret := []byte("12345678901234567890")
	for at, want := range map[int64]string{59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130"} {
		if got := totpCode(secret, at/30); got != want {
			t.Errorf("at %d: %s, want %s", at, got, want)
		}
	}
}

// code is what the phone of a person shows.
func (b *bench) code(name string) string {
	f, err := b.people.totp(b.t.Context(), name)
	if err != nil || f == nil {
		b.t.Fatal("no second factor: ", err)
	}
	return totpCode(f.Secret, b.now.Unix()/30)
}

// secondFor sets up codes on the account page and returns the recovery codes.
func (b *bench) secondFor(name string) []string {
	b.t.Helper()
	p := b.as(name)
	w := b.do(p, post, "/account/totp", url.Values{})
	m := regexp.MustCompile(`<code class="secret">([A-Z2-7]+)</code>`).FindStringSubmatch(w.Body.String())
	if m == nil || !strings.Contains(w.Body.String(), "otpauth://totp/Gatepost") {
		b.t.Fatalf("set-up: %d\n%s", w.Code, w.Body)
	}
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(m[1])
	if err != nil || totpCode(secret, b.now.Unix()/30) != b.code(name) {
		b.t.Fatal("the page shows another secret: ", err)
	}
	if w := b.do(p, post, "/account/totp/confirm", url.Values{"code": {"000000x"}}); w.Code != 400 {
		b.t.Errorf("a wrong code switched it on: %d", w.Code)
	}
	w = b.do(p, post, "/account/totp/confirm", url.Values{"code": {b.code(name)}})
	var codes []string
	for _, m := range regexp.MustCompile(`<li><code>([a-z2-7]{16})</code>`).FindAllStringSubmatch(w.Body.String(), -1) {
		codes = append(codes, m[1])
	}
	if len(codes) != recoveries {
		b.t.Fatalf("confirm: %d, %d recovery codes", w.Code, len(codes))
	}
	return codes
}

// half logs in with the password and returns the cookie of the login that needs its code.
func (b *bench) half(name string) *http.Cookie {
	b.t.Helper()
	w := b.login(name, goodPassword)
	for _, c := range w.Result().Cookies() {
		if c.Name == loopbackCookie {
			b.t.Fatal("the password alone opened a session")
		}
		if c.Name == halfPlainCookie {
			return c
		}
	}
	b.t.Fatalf("no half login: %d", w.Code)
	return nil
}

func (b *bench) enterCode(c *http.Cookie, code string) (int, bool) {
	w := b.do(nil, post, "/login/code", url.Values{"code": {code}}, func(r *http.Request) { r.AddCookie(c) })
	return w.Code, slices.ContainsFunc(w.Result().Cookies(), func(c *http.Cookie) bool { return c.Name == loopbackCookie && c.Value != "" })
}

// A password alone opens nothing once there is a second factor; a code is good once, and a recovery code, too.
func TestACodeIsAskedForAndTakenOnce(t *testing.T) {
	b := newBench(t)
	recovery := b.secondFor("ada")
	b.now = b.now.Add(2 * time.Minute)
	c := b.half("ada")
	if status, in := b.enterCode(c, "123456"); status != 401 || in {
		t.Errorf("a wrong code: %d", status)
	}
	code := b.code("ada")
	if status, in := b.enterCode(c, code); status != 303 || !in {
		t.Errorf("the right code: %d", status)
	}
	if _, in := b.enterCode(b.half("ada"), code); in {
		t.Error("one code opened two sessions")
	}
	if _, in := b.enterCode(c, recovery[0]); in {
		t.Error("a half login was used twice")
	}
	for i, want := range []bool{true, false} {
		if _, in := b.enterCode(b.half("ada"), recovery[0]); in != want {
			t.Errorf("recovery code, use %d: %v", i+1, in)
		}
	}
	late := b.half("ada")
	if err := b.people.SetPassword(t.Context(), "ada", "another-long-phrase", false); err != nil {
		t.Fatal(err)
	}
	b.now = b.now.Add(time.Minute)
	if _, in := b.enterCode(late, b.code("ada")); in {
		t.Error("a half login outlives its password")
	}
}

// O-08: guessing codes is as slow as guessing passwords.
func TestGuessingCodesIsSlow(t *testing.T) {
	b := newBench(t)
	b.secondFor("ada")
	b.now = b.now.Add(time.Minute)
	c := b.half("ada")
	for range 5 {
		b.enterCode(c, "000000")
	}
	if _, in := b.enterCode(c, b.code("ada")); in {
		t.Error("the sixth code was looked at at once")
	}
}

// Where second factors are asked for, an account without one can do nothing but set it up; who gets a removed person's
// name later does not get their keys.
func TestASecondFactorCanBeRequired(t *testing.T) {
	b := newBench(t, func(c *Config, _ *Deps) { c.SecondFactor = secondForAdmins })
	ada, rev := b.as("ada"), b.as("rev")
	if w := b.do(ada, get, "/quarantine", nil); w.Code != 303 || w.Header().Get("Location") != "/account" {
		t.Errorf("an administrator without: %d", w.Code)
	}
	if w := b.do(ada, post, "/quarantine/m1/release", url.Values{"rcpt": {"alice@example.com"}}); w.Code != 403 || len(b.house.released) > 0 {
		t.Errorf("released without: %d", w.Code)
	}
	if w := b.do(rev, get, "/quarantine", nil); w.Code != 200 {
		t.Errorf("a reviewer: %d", w.Code)
	}
	b.secondFor("ada")
	if w := b.do(ada, get, "/quarantine", nil); w.Code != 200 {
		t.Errorf("with one: %d", w.Code)
	}
	b.secondFor("rev")
	if err := b.people.Remove(t.Context(), "rev"); err != nil {
		t.Fatal(err)
	}
	if has, err := b.people.HasSecond(t.Context(), "rev"); has || err != nil {
		t.Error("a removed person's second factor is still there")
	}
	b.secondFor("view")
	if w := b.do(ada, post, "/people/view/second", url.Values{"sure": {"1"}}); w.Code != 303 {
		t.Errorf("reset: %d", w.Code)
	}
	if w := b.login("view", goodPassword); w.Code != 303 {
		t.Errorf("after a reset: %d", w.Code)
	}
}
