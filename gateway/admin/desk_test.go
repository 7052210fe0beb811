package admin

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"gatepost/policy"
)

// did lists what the audit says of a person's doings.
func (b *bench) did(actor string) []string {
	var out []string
	for _, r := range b.house.records {
		if r.Kind == "management" && r.Actor == actor {
			out = append(out, strings.TrimSpace(r.Action+" "+r.ID+" "+r.Note))
		}
	}
	return out
}

// One step releases a message, allows its sender until a day, and teaches that it was wanted; all of it is audited first.
func TestReleaseAllowAndTeachAreOneStep(t *testing.T) {
	b := newBench(t)
	ada := b.as("ada")
	n := len(b.rooms.Made())
	w := b.do(ada, post, "/quarantine/m1/release", url.Values{"rcpt": {"alice@example.com"}, "who": {"domain"}, "days": {"30"}, "reason": {"ticket 4711"}, "teach": {"1"}})
	if w.Code != 200 || len(b.house.released) != 1 || len(b.rooms.Taught()) != 1 || !strings.HasPrefix(b.rooms.Taught()[0], "false ") || len(b.rooms.Made()) != n+1 {
		t.Fatalf("%d, released %q, taught %q, %d entries\n%s", w.Code, b.house.released, b.rooms.Taught(), len(b.rooms.Made())-n, w.Body)
	}
	e := b.rooms.Made()[n]
	if !e.Allow || !slices.Equal(e.Sender, []string{"@sender.example"}) || e.Owner != "ada" || e.From != "m1" || e.Unsafe || e.Expires.Sub(b.now) > 31*24*time.Hour {
		t.Errorf("entry %+v", e)
	}
	did := b.did("ada")
	if len(did) != 3 || !strings.HasPrefix(did[0], "entry added m1 allow sender @sender.example until ") || did[1] != "taught ham m1" || did[2] != "release m1 alice@example.com" {
		t.Errorf("audit %q", did)
	}
}

// Without a reason nothing happens, not even the release.
func TestAnEntryWithoutAReasonStopsTheWholeStep(t *testing.T) {
	b := newBench(t)
	n := len(b.rooms.Made())
	w := b.do(b.as("ada"), post, "/quarantine/m1/release", url.Values{"rcpt": {"alice@example.com"}, "who": {"domain"}, "days": {"30"}})
	if w.Code != 400 || len(b.house.released) != 0 || len(b.rooms.Made()) != n || !strings.Contains(w.Body.String(), "Say why") {
		t.Errorf("%d, released %q", w.Code, b.house.released)
	}
}

// BETS 8: who may make which entry. A user's is about own mail, a reviewer's about single senders and small networks;
// what nothing proves only an administrator may allow.
func TestWhoMayMakeWhichEntry(t *testing.T) {
	month := time.Now().Add(30 * 24 * time.Hour).UTC().Truncate(time.Second)
	b := newBench(t)
	for name, c := range map[string]struct {
		entry policy.Entry
		may   map[string]bool
	}{
		"a sender":           {policy.Entry{Allow: true, Sender: []string{"@a.example"}}, map[string]bool{"alice": true, "rev": true, "ada": true}},
		"for someone else":   {policy.Entry{Sender: []string{"@a.example"}, Recipient: []string{"bob@example.com"}}, map[string]bool{"rev": true, "ada": true}},
		"an unproved sender": {policy.Entry{Allow: true, Unsafe: true, Sender: []string{"@a.example"}}, map[string]bool{"ada": true}},
		"everybody":          {policy.Entry{Allow: true, Sender: []string{"info@*"}}, map[string]bool{}},
		"a client":           {policy.Entry{Client: []string{"192.0.2.7"}}, map[string]bool{"rev": true, "ada": true}},
		"a small network":    {policy.Entry{Client: []string{"192.0.2.0/24"}}, map[string]bool{"rev": true, "ada": true}},
		"the world":          {policy.Entry{Client: []string{"0.0.0.0/0"}}, map[string]bool{"ada": true}},
		"an allowed client":  {policy.Entry{Allow: true, Client: []string{"192.0.2.7"}}, map[string]bool{"ada": true}},
		"a country":          {policy.Entry{Country: []string{"XX"}}, map[string]bool{"ada": true}},
		"in the past":        {policy.Entry{Sender: []string{"@a.example"}, Expires: time.Now().Add(-time.Hour)}, map[string]bool{}},
		"no address":         {policy.Entry{Sender: []string{"no address.at all"}}, map[string]bool{}},
	} {
		for _, who := range []string{"alice", "rev", "view", "aud", "ada"} {
			acc, _ := b.people.Account(t.Context(), who)
			secret, _, err := b.people.issue(t.Context(), acc, token{Name: "x", Scopes: allRights(), Created: b.now})
			if err != nil {
				t.Fatal(err)
			}
			e := c.entry
			e.Reason = "why"
			if e.Expires.IsZero() {
				e.Expires = month
			}
			body, _ := json.Marshal(e)
			n := len(b.rooms.Made())
			w := b.call(secret, post, "/api/v1/entries", string(body))
			if name == "everybody" && who == "ada" {
				continue // the policy's own check decides
			}
			if made := len(b.rooms.Made()) > n; made != c.may[who] || made != (w.Code == 204) {
				t.Errorf("%s by %s: %d %s", name, who, w.Code, w.Body)
				continue
			}
			if made := b.rooms.Made()[len(b.rooms.Made())-1]; c.may[who] && (made.Owner != who || who == "alice" && !slices.Equal(made.Recipient, []string{"alice@example.com"})) {
				t.Errorf("%s by %s became %+v", name, who, made)
			}
		}
	}
}

// Everyone may take back their own entries, and who may change the policy anybody's; a user does not see others'.
func TestEntriesAreSeenAndRemovedByTheirOwners(t *testing.T) { // O-05
	b := newBench(t)
	p, _ := b.rooms.Current(t.Context())
	key := map[string]string{}
	for _, e := range p.Policy.Entries() {
		if e.Key != "" {
			key[e.Owner] = e.Key
		}
	}
	for who, may := range map[string][]string{"alice": {"alice"}, "rev": {"rev"}} {
		for owner, k := range key {
			n := len(b.rooms.Made())
			w := b.do(b.as(who), post, "/lists/"+k+"/remove", url.Values{})
			if want := map[bool]int{true: 200, false: 404}[slices.Contains(may, owner)]; w.Code != want || len(b.rooms.Made()) != n {
				t.Errorf("%s is not asked before %s's is removed: %d, want %d", who, owner, w.Code, want)
			}
			w = b.do(b.as(who), post, "/lists/"+k+"/remove", url.Values{"sure": {"1"}})
			if want := map[bool]int{true: 303, false: 404}[slices.Contains(may, owner)]; w.Code != want {
				t.Errorf("%s removes %s's: %d, want %d", who, owner, w.Code, want)
			}
		}
	}
	page := b.do(b.as("alice"), get, "/lists", nil).Body.String()
	if strings.Contains(page, "partner.example") || strings.Contains(page, "open proxy range") || strings.Contains(page, "vips") {
		t.Error("a user sees entries of others")
	}
	if w := b.do(b.as("ada"), post, "/lists/"+key["ada"]+"/remove", url.Values{"sure": {"1"}}); w.Code != 303 {
		t.Errorf("an administrator: %d", w.Code)
	}
}

// What was held as spam and is known malware today is released only by who may release malware, having just shown who
// they are; what cannot be scanned is not released at all by others.
func TestReleaseScansAgain(t *testing.T) {
	for name, r := range map[string]Rescan{"malware": {Class: policy.Malware}, "nobody could look": {NotRun: []string{"clamd"}}} {
		b := newBench(t)
		b.rooms.Find(r)
		form := func() url.Values { return url.Values{"rcpt": {"alice@example.com"}} }
		for _, who := range []string{"alice", "rev"} {
			if w := b.do(b.as(who), post, "/quarantine/m1/release", form()); w.Code != 403 && w.Code != 503 || len(b.house.released) > 0 {
				t.Errorf("%s, by %s: %d", name, who, w.Code)
			}
		}
		ada := b.as("ada")
		b.now = b.now.Add(6 * time.Minute)
		if w := b.do(ada, post, "/quarantine/m1/release", form()); w.Code == 200 {
			t.Errorf("%s, by an administrator who logged in long ago: %d", name, w.Code)
		}
		if w := b.do(b.as("ada"), post, "/quarantine/m1/release", form()); w.Code != 200 {
			t.Errorf("%s, by an administrator: %d", name, w.Code)
		}
	}
}

// HOSTILE 4.3: who changes the policy must have shown who they are within five minutes, or do so again.
func TestThePolicyIsChangedOnlyByWhoJustProvedWhoTheyAre(t *testing.T) {
	b := newBench(t)
	ada := b.as("ada")
	b.now = b.now.Add(6 * time.Minute)
	text := b.rooms.Text() + "# more\n"
	form := func(password string) url.Values {
		return url.Values{"text": {text}, "base": {"base2"}, "password": {password}}
	}
	if w := b.do(ada, post, "/policy/apply", form("")); w.Code != 403 || b.rooms.Text() == text {
		t.Errorf("without password: %d", w.Code)
	}
	if w := b.do(ada, post, "/policy/apply", form("wrong")); w.Code != 403 || b.rooms.Text() == text {
		t.Errorf("with a wrong password: %d", w.Code)
	}
	if w := b.call("", post, "/api/v1/policy/apply", `{"text":"version: 1\n","base":"base2"}`, func(r *http.Request) {
		r.Header.Set("X-Csrf-Token", ada.csrf)
		r.AddCookie(&http.Cookie{Name: loopbackCookie, Value: ada.secret})
	}); w.Code != 403 {
		t.Errorf("by the API with an old session: %d", w.Code)
	}
	if w := b.do(ada, post, "/policy/apply", form(goodPassword)); w.Code != 303 || b.rooms.Text() != text {
		t.Errorf("with the password: %d", w.Code)
	}
	if w := b.do(ada, post, "/policy/kept/k1", url.Values{}); w.Code != 303 {
		t.Errorf("putting back right after: %d", w.Code)
	}
	if did := b.did("ada"); !strings.HasPrefix(did[len(did)-1], "policy put back  k1: ") {
		t.Errorf("audit %q", did)
	}
}

// Accounts, roles and tokens outlive a session: they are made and changed only by who showed who they are within five
// minutes, or does so again, so that a screen left open makes nobody an administrator. Asking is no guess.
func TestAccountsAreChangedOnlyByWhoJustProvedWhoTheyAre(t *testing.T) { // O-16
	key := passkey{Name: "the desk", Credential: webauthn.Credential{ID: []byte("a credential")}}
	for path, form := range map[string]url.Values{
		"/people":                      {"name": {"eve"}, "role": {"admin"}},
		"/people/alice/roles":          {"role": {"admin"}},
		"/people/alice/password":       {"sure": {"1"}},
		"/people/alice/second":         {"sure": {"1"}},
		"/people/alice/remove":         {"sure": {"1"}},
		"/account/tokens":              {"name": {"eve"}, "scope": {"people"}, "days": {"30"}},
		"/account/passkeys/KEY/remove": {},
	} {
		b := newBench(t)
		if err := b.people.putPasskey(t.Context(), "ada", key); err != nil {
			t.Fatal(err)
		}
		keys, err := b.people.passkeys(t.Context(), "ada")
		if err != nil {
			t.Fatal(err)
		}
		path = strings.Replace(path, "KEY", keys[0].ID(), 1)
		ada := b.as("ada")
		b.now = b.now.Add(6 * time.Minute)
		b.do(ada, get, "/account", nil) // the session is in use
		before := b.state()
		for range 9 {
			w := b.do(ada, post, path, maps.Clone(form))
			if w.Code != 403 || !strings.Contains(w.Body.String(), "Type your password once more") || !strings.Contains(w.Body.String(), `name="password"`) {
				t.Fatalf("%s without password: %d\n%s", path, w.Code, w.Body)
			}
		}
		wrong := maps.Clone(form)
		wrong.Set("password", "wrong")
		if w := b.do(ada, post, path, wrong); w.Code != 403 || b.state() != before {
			t.Errorf("%s with a wrong password: %d, or something changed", path, w.Code)
		}
		right := maps.Clone(form)
		right.Set("password", goodPassword)
		if w := b.do(ada, post, path, right); w.Code != 200 && w.Code != 303 {
			t.Errorf("%s with the password: %d\n%s", path, w.Code, w.Body)
		}
	}
}

// Whoever a provider vouches for has no password: they are told to log in again, and let malware out after that.
func TestAPersonWithoutAPasswordLogsInAgain(t *testing.T) {
	b := newBench(t)
	acc, err := b.people.Account(t.Context(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	acc.Subject = "https://id.example 17"
	if err := b.people.put(t.Context(), acc); err != nil {
		t.Fatal(err)
	}
	ada := b.as("ada")
	malware := func() *httptest.ResponseRecorder {
		return b.do(ada, post, "/quarantine/m4/release", url.Values{"rcpt": {"alice@example.com"}})
	}
	b.now = b.now.Add(6 * time.Minute)
	for what, w := range map[string]*httptest.ResponseRecorder{"policy": b.do(ada, post, "/policy/apply", url.Values{"text": {"version: 1\n"}, "base": {"base2"}}), "malware": malware()} {
		if w.Code != 403 || !strings.Contains(w.Body.String(), "Log in again") || strings.Contains(w.Body.String(), `type="password"`) {
			t.Errorf("%s: %d\n%s", what, w.Code, w.Body)
		}
	}
	b.now = b.now.Add(-6 * time.Minute)
	if w := malware(); w.Code != 200 || len(b.house.released) != 1 {
		t.Errorf("malware after a login: %d", w.Code)
	}
}

// Reading another's mail and taking it away are written down, once an hour each; reading one's own is not.
func TestReadingOthersMailIsWrittenDown(t *testing.T) {
	b := newBench(t)
	for range 3 {
		for _, path := range []string{"/quarantine/m1", "/quarantine/m1/html", "/api/v1/quarantine/m1/text"} {
			b.do(b.as("view"), get, path, nil)
			b.do(b.as("alice"), get, path, nil)
		}
	}
	b.do(b.as("view"), get, "/quarantine/m1/raw", nil)
	if did := b.did("view"); !slices.Equal(did, []string{"read m1", "downloaded m1"}) {
		t.Errorf("audit %q", did)
	}
	if did := b.did("alice"); len(did) != 0 {
		t.Errorf("audit of own mail %q", did)
	}
}

// The hold queue, waiting senders and learnt people are looked after on pages and by API alike, and audited.
func TestFlowIsLookedAfter(t *testing.T) {
	b := newBench(t)
	ada := b.as("ada")
	steps := []struct {
		path string
		form url.Values
		done string
	}{
		{"/hold/retry", url.Values{}, "retry 0 by ada"},
		{"/hold/retry", url.Values{"id": {"0m9w0001a"}}, "retry 1 by ada"},
		{"/hold/cancel", url.Values{"id": {"0m9w0001a"}}, ""},
		{"/hold/cancel", url.Values{"id": {"0m9w0001a"}, "sure": {"1"}}, "cancel 0m9w0001a by ada"},
		{"/waiting/let", url.Values{"key": {"w1"}, "sender": {"x"}}, "let w1"},
		{"/known/forget", url.Values{"address": {"@supplier.example"}}, ""},
		{"/known/forget", url.Values{"address": {"@supplier.example"}, "sure": {"1"}}, "forget @supplier.example"},
	}
	for _, s := range steps {
		n := len(b.rooms.Asked())
		if w := b.do(ada, post, s.path, s.form); w.Code != 200 {
			t.Errorf("%s: %d", s.path, w.Code)
		}
		if got := strings.Join(b.rooms.Asked()[n:], ""); got != s.done {
			t.Errorf("%s did %q, want %q", s.path, got, s.done)
		}
	}
	for path, form := range map[string]url.Values{"/hold/cancel": {"id": {"gone"}, "sure": {"1"}}, "/waiting/let": {"key": {"gone"}}, "/known/forget": {"address": {"gone"}, "sure": {"1"}}} {
		if w := b.do(ada, post, path, form); w.Code != 404 {
			t.Errorf("%s of what is not there: %d", path, w.Code)
		}
	}
	if did := b.did("ada"); len(did) != 8 {
		t.Errorf("audit %q", did)
	}
}

// A test goes to the end of the tests, in the indentation that the file has.
func TestATestIsPutWhereTestsAre(t *testing.T) {
	const test = "  - name: new\n    given: {}\n"
	for in, want := range map[string]string{
		"version: 1\n":                                       "version: 1\n\ntests:\n  - name: new\n    given: {}\n",
		"tests: []\nrules: []\n":                             "tests:\n  - name: new\n    given: {}\nrules: []\n",
		"tests:\n- name: a\n  given: {}\nrules: []\n":        "tests:\n- name: a\n  given: {}\n- name: new\n  given: {}\nrules: []\n",
		"tests: # all\n    - name: a\n\n# end\nrules: []":    "tests:\n    - name: a\n    - name: new\n      given: {}\n\n# end\nrules: []",
		"tests:\n  - name: a\n    given: {}":                 "tests:\n  - name: a\n    given: {}\n  - name: new\n    given: {}\n",
		"a: 1\r\ntests:\r\n  - name: a\r\n    given: {}\r\n": "a: 1\r\ntests:\n  - name: a\r\n    given: {}\r\n  - name: new\n    given: {}\n",
	} {
		if got := insertTest(in, test); got != want {
			t.Errorf("%q\n got %q\nwant %q", in, got, want)
		}
	}
}
