package admin

import (
	"encoding/json"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/gateway/journal"
	"gatepost/policy"
	"gatepost/rules/conf"
)

// The headers of HOSTILE 4.3 are on every answer, whatever the status.
func TestEveryAnswerCarriesTheHeaders(t *testing.T) {
	b := newBench(t)
	for _, path := range []string{"/login", "/", "/nothing", "/quarantine", "/livez", "/api/v1/quarantine"} {
		h := b.do(nil, get, path, nil).Header()
		for k, want := range map[string]string{"Content-Security-Policy": pagePolicy, "X-Content-Type-Options": "nosniff",
			"Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store"} {
			if got := h.Get(k); got != want {
				t.Errorf("%s has %s: %q", path, k, got)
			}
		}
	}
}

// O-11, O-12: a redirect leads to a path of ours and nowhere else.
func TestRedirectsStayHere(t *testing.T) {
	for in, want := range map[string]string{"/quarantine?x=1": "/quarantine?x=1", "//evil": "/", `/\evil`: "/", "javascript:alert(1)": "/", "https://evil/": "/",
		"": "/", "/a\r\nSet-Cookie: x=1": "/", "quarantine": "/", "/%2f/evil": "/%2f/evil", "///evil": "/", "/\tx": "/"} {
		if got := localPath(in); got != want && !(want == "/%2f/evil" && got == "/") {
			t.Errorf("%q leads to %q", in, got)
		}
	}
	b := newBench(t)
	w := b.do(nil, post, "/login", url.Values{"name": {"ada"}, "password": {goodPassword}, "next": {"//evil.example"}})
	if got := w.Header().Get("Location"); got != "/" {
		t.Errorf("after login to %q", got)
	}
}

// O-10: too much of anything is refused.
func TestLimits(t *testing.T) {
	b := newBench(t)
	ada := b.as("ada")
	if w := b.do(ada, post, "/people", url.Values{"name": {strings.Repeat("x", 2<<20)}}); w.Code != 413 {
		t.Errorf("2 MiB form: %d", w.Code)
	}
	if w := b.do(ada, get, "/quarantine?"+strings.Repeat("a=1&", 300), nil); w.Code != 400 {
		t.Errorf("300 parameters: %d", w.Code)
	}
	if w := b.do(ada, get, "/quarantine", nil, func(r *http.Request) { r.Host = "rebound.evil.example" }); w.Code != 421 {
		t.Errorf("a foreign host name: %d", w.Code)
	}
	if w := b.do(nil, get, "/account", nil, func(r *http.Request) { r.Header.Set("X-Forwarded-User", "ada") }); w.Code != 303 {
		t.Errorf("X-Forwarded-User: %d", w.Code)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := Server(b.web)
	go srv.Serve(Limit(l, 3, 2))
	defer srv.Close()
	req, _ := http.NewRequest(get, "http://"+l.Addr().String()+"/login", nil)
	req.Header.Set("X-Big", strings.Repeat("x", 64<<10))
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil || resp.StatusCode != 431 {
		t.Fatalf("64 KiB header: %v, %v", resp, err)
	}
	resp.Body.Close()
}

func TestConnectionsAreBounded(t *testing.T) {
	l := &limitedListener{total: 3, each: 2, from: nil}
	l.from = map[addr]int{}
	a, c := mustAddr("192.0.2.1"), mustAddr("192.0.2.2")
	for i, try := range []struct {
		from addr
		want bool
	}{{a, true}, {a, true}, {a, false}, {c, true}, {c, false}} {
		if l.take(try.from) != try.want {
			t.Errorf("connection %d: taken: %v", i, !try.want)
		}
	}
	l.give(a)
	if !l.take(c) {
		t.Error("a place that was given back is not free")
	}
}

func TestHealthTellsInsidersMore(t *testing.T) {
	bad := Check{Name: "disk", Severity: Critical, Effect: "mail is deferred"}
	b := newBench(t, func(c *Config, d *Deps) {
		c.MetricsToken = conf.NewSecret("sesame")
		d.Health = func() []Check { return []Check{bad} }
		d.Gauges = func() []Gauge { return []Gauge{{Name: "gatepost_spool_bytes", Help: "x", Value: 7}} }
		d.Meter.Observe(&journal.Record{Kind: journal.Message, Time: time.Now(), Reply: policy.Reply{Code: 250}, TLS: mail.TLS{Version: "TLS 1.3"}, Micros: map[string]int64{"total": 1500}})
	})
	far := func(r *http.Request) { r.RemoteAddr = "192.0.2.9:1" }
	token := func(r *http.Request) { far(r); r.Header.Set("Authorization", "Bearer sesame") }
	proxied := func(r *http.Request) { r.Header.Set("X-Forwarded-For", "192.0.2.9") }
	for name, c := range map[string]struct {
		path  string
		edit  func(*http.Request)
		code  int
		names bool
	}{
		"near":            {"/readyz", func(*http.Request) {}, 503, true},
		"far":             {"/readyz", far, 503, false},
		"proxied":         {"/readyz", proxied, 503, false},
		"far with token":  {"/readyz", token, 503, true},
		"metrics near":    {"/metrics", func(*http.Request) {}, 200, true},
		"metrics far":     {"/metrics", far, 403, false},
		"metrics proxied": {"/metrics", proxied, 403, false},
		"metrics token":   {"/metrics", token, 200, true},
		"livez far":       {"/livez", far, 200, false},
	} {
		w := b.do(nil, get, c.path, nil, c.edit)
		if w.Code != c.code || strings.Contains(w.Body.String(), "disk") != c.names {
			t.Errorf("%s: %d, names what fails: %v", name, w.Code, !c.names)
		}
	}
	body := b.do(nil, get, "/metrics", nil).Body.String()
	for _, want := range []string{`gatepost_messages_total{class="",outcome="delivered"} 1`, "gatepost_spool_bytes 7", `gatepost_check_ok{check="disk",severity="critical"} 0`} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

func TestSummaryCoversTheLastDay(t *testing.T) {
	m := NewMeter()
	now := time.Now()
	for i := range 48 {
		m.Prime(&journal.Record{Kind: journal.Message, Time: now.Add(-time.Duration(47-i) * time.Hour), From: "a@b.example",
			Reply: policy.Reply{Code: 550}, Decision: &policy.Decision{Decided: []string{"x.y"}}, Micros: map[string]int64{"total": 1500}})
	}
	m.Prime(&journal.Record{Kind: journal.Message, Time: now.Add(-30 * time.Hour)})
	s := m.Summary(now)
	if s.Totals[Refused] != 24 || s.Messages != 24 || len(s.Hours) != 24 || s.P50Micro != 2000 || s.Reasons[0] != (Total{"x.y", 24}) || s.Senders[0] != (Total{"b.example", 24}) {
		t.Errorf("%+v", s)
	}
}

// The description lists the API's routes, all of them and no others.
func TestDescriptionIsTheRouteTable(t *testing.T) {
	b := newBench(t)
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct{ OperationID string }
	}
	if err := json.Unmarshal(b.do(nil, get, "/api/v1/openapi.json", nil).Body.Bytes(), &doc); err != nil || doc.OpenAPI != "3.1.0" {
		t.Fatal(doc.OpenAPI, err)
	}
	seen, n := map[string]bool{}, 0
	for _, rt := range routeTable() {
		if !rt.api {
			continue
		}
		n++
		id := doc.Paths[rt.pattern][strings.ToLower(rt.method)].OperationID
		if id == "" || seen[id] {
			t.Errorf("%s %s has operation id %q", rt.method, rt.pattern, id)
		}
		seen[id] = true
	}
	if n != len(seen) {
		t.Errorf("%d routes, %d described", n, len(seen))
	}
}

// O-14: a body that is not one JSON object of known keys is refused; so is another type of body.
func TestAPIRefusesOddBodies(t *testing.T) {
	b := newBench(t)
	acc, _ := b.people.Account(t.Context(), "ada")
	secret, _, err := b.people.issue(t.Context(), acc, token{Name: "x", Scopes: allRights(), Created: b.now})
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]int{`{"recipients":["alice@example.com"]}`: 200, `{"who":1}`: 400, `{"recipients":[],"recipients":["alice@example.com"]}`: 400, `{"recipients":[],"Recipients":[]}`: 400,
		`{"recipients":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}`: 400, `{} {}`: 400, `[`: 400,
		strings.Repeat("[", 10000): 400, `{"recipients":"x"}`: 400, `{"recipients":["nobody@example.com"]}`: 409} {
		if w := b.call(secret, post, "/api/v1/quarantine/m1/release", body); w.Code != want {
			t.Errorf("%.30s: %d, want %d", body, w.Code, want)
		}
	}
	if w := b.call(secret, post, "/api/v1/quarantine/m1/release", `{}`, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }); w.Code != 415 {
		t.Errorf("text/plain: %d", w.Code)
	}
	w := b.call(secret, post, "/api/v1/accounts", `{"name":"new","roles":["reviewer"],"password":"a-long-enough-phrase"}`)
	if w.Code != 201 || strings.Contains(w.Body.String(), "argon2") {
		t.Errorf("new account: %d %s", w.Code, w.Body)
	}
	if w := b.call(secret, del, "/api/v1/accounts/new", ""); w.Code != 204 {
		t.Errorf("remove account: %d", w.Code)
	}
}

func TestPeopleAreManagedOnPages(t *testing.T) {
	b := newBench(t)
	ada := b.as("ada")
	if w := b.do(ada, post, "/people", url.Values{"name": {"Bob"}, "role": {"user"}, "addresses": {"bob@example.com, nonsense"}}); w.Code != 400 {
		t.Errorf("a bad address: %d", w.Code)
	}
	w := b.do(ada, post, "/people", url.Values{"name": {"Bob"}, "role": {"user"}, "addresses": {"Bob@Example.com"}})
	if w.Code != 200 || !strings.Contains(w.Body.String(), `class="secret"`) {
		t.Fatalf("create: %d", w.Code)
	}
	if err := b.people.SetPassword(t.Context(), "bob", goodPassword, false); err != nil {
		t.Fatal(err)
	}
	bob := b.as("bob")
	if w := b.do(bob, get, "/quarantine/m2", nil); w.Code != 200 {
		t.Errorf("bob's own message: %d", w.Code)
	}
	if w := b.do(ada, post, "/people/bob/remove", url.Values{}); w.Code != 200 || b.do(bob, get, "/quarantine", nil).Code != 200 {
		t.Errorf("removal is not asked about first: %d", w.Code)
	}
	if w := b.do(ada, post, "/people/bob/remove", url.Values{"sure": {"1"}}); w.Code != 303 {
		t.Errorf("remove: %d", w.Code)
	}
	if w := b.do(bob, get, "/quarantine", nil); w.Code != 303 || !strings.HasPrefix(w.Header().Get("Location"), "/login") {
		t.Errorf("removed bob: %d", w.Code)
	}
	var did []string
	for _, r := range b.house.records {
		if r.Kind == journal.Management {
			did = append(did, r.Actor+" "+r.Action)
		}
	}
	if !slices.Equal(did, []string{"ada account created", "ada account removed"}) {
		t.Errorf("audit %q", did)
	}
}

var (
	quoted      = regexp.MustCompile(`"([a-z]+\.[a-z0-9-]+)"`)
	placeholder = regexp.MustCompile(`\{[a-z]+\}`)
)

// Every sentence exists in both languages with the same blanks to fill, every one is used, and every one used exists.
func TestNoTextIsMissingUntranslatedOrUnused(t *testing.T) {
	texts, err := readTexts()
	if err != nil {
		t.Fatal(err)
	}
	en, zh := texts.byLang["en"], texts.byLang["zh"]
	blanks := func(s text) []string {
		b := placeholder.FindAllString(s.other, -1)
		slices.Sort(b)
		return b
	}
	for key, s := range en {
		if _, ok := zh[key]; !ok {
			t.Errorf("%s is not translated", key)
		} else if key != "tree.proof" && !slices.Equal(blanks(s), blanks(zh[key])) {
			t.Errorf("%s has other blanks in Chinese", key)
		}
		if strings.IndexFunc(zh[key].other, func(r rune) bool { return r > 0x2E80 }) < 0 && key != "message.html" {
			t.Errorf("%s is not Chinese: %s", key, zh[key].other)
		}
	}
	used := map[string]bool{}
	read := func(name string) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range quoted.FindAllStringSubmatch(string(b), -1) {
			used[m[1]] = true
		}
	}
	for _, pattern := range []string{"*.go", "pages/*.html", "letters/*.html"} {
		names, _ := fs.Glob(os.DirFS("."), pattern)
		for _, n := range names {
			if !strings.HasSuffix(n, "_test.go") {
				read(n)
			}
		}
	}
	for key := range en {
		if !used[key] {
			t.Errorf("%s is not used", key)
		}
	}
	for key := range zh {
		if _, ok := en[key]; !ok {
			t.Errorf("%s is not English", key)
		}
	}
	sections := map[string]bool{}
	for key := range en {
		section, _, _ := strings.Cut(key, ".")
		sections[section] = true
	}
	for key := range used {
		section, _, _ := strings.Cut(key, ".")
		if _, ok := en[key]; !ok && sections[section] && !strings.HasSuffix(key, ".html") {
			t.Errorf("%s is used and does not exist", key)
		}
	}
}

var (
	shippedReason = regexp.MustCompile(`(?m)^    reason: (.+)$`)
	auditAction   = regexp.MustCompile(`d\.audit\(v, "([^"]+)"`)
	sentence      = regexp.MustCompile(`"([A-Z][^"]*\.)"`)
)

// What the rooms behind the pages say is translated, too: actions in the audit, and what failing checks do to mail.
func TestWordsOfOtherRoomsAreTranslated(t *testing.T) {
	texts, err := readTexts()
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
	note := func(s string) {
		said[s] = true
		if w := texts.word("zh", s); w == s {
			t.Errorf("%q is not translated", s)
		}
		if texts.word("en", s) != s {
			t.Errorf("%q is another in English", s)
		}
	}
	var all strings.Builder
	for _, pattern := range []string{"*.go", "../*.go", "../*/*.go", "../../policy/*.go", "../../cmd/gatepost/*.go", "../../filters/*/*.go"} {
		names, _ := filepath.Glob(pattern)
		for _, n := range names {
			if strings.HasSuffix(n, "_test.go") {
				continue
			}
			b, err := os.ReadFile(n)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(b)
			for _, m := range auditAction.FindAllStringSubmatch(string(b), -1) {
				if strings.HasSuffix(m[1], " ") { // "taught " and what
					m[1] += "spam"
				}
				note(m[1])
			}
			for line := range strings.Lines(string(b)) {
				if !strings.Contains(line, "add(") && !strings.Contains(line, "Effect ") && !strings.Contains(line, "Hint ") || !strings.Contains(n, "cmd/gatepost") || strings.HasSuffix(n, "doctor.go") {
					continue
				}
				for _, m := range sentence.FindAllStringSubmatch(line, -1) {
					note(m[1])
				}
			}
		}
	}
	shipped, err := os.ReadFile("../../policy/shipped.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range shippedReason.FindAllStringSubmatch(string(shipped), -1) { // what the rules say
		all.WriteString(`"` + m[1] + `"`)
		note(m[1])
	}
	for s := range texts.words {
		if !strings.Contains(all.String(), `"`+s+`"`) && !strings.HasPrefix(s, "taught ") {
			t.Errorf("nobody says %q", s)
		}
	}
}

func TestPluralsAndLanguageChoice(t *testing.T) {
	texts, _ := readTexts()
	for n, want := range map[int]string{1: "1 hour ago", 2: "2 hours ago"} {
		if got := texts.say("en", "ago.hours", "n", n); got != want {
			t.Errorf("%q", got)
		}
	}
	if got := texts.say("zh", "ago.hours", "n", 1); got != "1 小时前" {
		t.Errorf("%q", got)
	}
	for header, want := range map[string]string{"": "en", "zh-CN,en;q=0.8": "zh", "de,en;q=0.3,zh;q=0.2": "en", "fr": "en", "en;q=0.1,zh-Hans;q=0.9": "zh", strings.Repeat("x,", 5000): "en"} {
		r, _ := http.NewRequest(get, "/", nil)
		r.Header.Set("Accept-Language", header)
		if got := texts.choose(r, "en"); got != want {
			t.Errorf("%.20q: %s", header, got)
		}
	}
}

type addr = netip.Addr

func mustAddr(s string) addr { return netip.MustParseAddr(s) }

// A program is told what it got wrong and where, and never answered by a page.
func TestTheAPITellsAProgramWhatIsWrong(t *testing.T) {
	b := newBench(t)
	acc, _ := b.people.Account(t.Context(), "ada")
	secret, _, err := b.people.issue(t.Context(), acc, token{Name: "x", Scopes: allRights(), Created: b.now})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, path, body string
		want               int
		says               string
	}{
		{get, "/api/v1/quarantine?class=virus", "", 400, "class=virus: want one of spam"},
		{get, "/api/v1/quarantine?state=new", "", 400, "state=new: want one of waiting"},
		{get, "/api/v1/quarantine?since=yesterday", "", 400, "since=yesterday: want a day"},
		{get, "/api/v1/quarantine?before=../x", "", 400, "before=../x: want the id"},
		{get, "/api/v1/quarantine?limit=many", "", 400, "limit=many: want a number"},
		{get, "/api/v1/trace?limit=0", "", 400, "limit=0: want a number"},
		{get, "/api/v1/audit?limit=-1", "", 400, "limit=-1: want a number"},
		{get, "/api/v1/hold?limit=x", "", 400, "limit=x"},
		{get, "/api/v1/waiting?limit=x", "", 400, "limit=x"},
		{get, "/api/v1/known?limit=x", "", 400, "limit=x"},
		{get, "/api/v1/quarantine?class=spam&state=waiting&days=7&since=2026-11-01&until=2026-11-30&limit=5", "", 200, "entries"},
		{post, "/api/v1/quarantine/m1/release", `{"rcpts":[]}`, 400, `unknown field \"rcpts\"`},
		{post, "/api/v1/quarantine/m1/release", `{"recipients":"x"}`, 400, "recipients"},
		{post, "/api/v1/policy/apply", `{"text":"version: 1\n"}`, 400, "base: give that of GET /api/v1/policy"},
		{post, "/api/v1/quarantine/m1/release", `{"recipients":[],"recipients":[]}`, 400, "a key twice"},
		{post, "/api/v1/quarantine/m1/release", `{`, 400, "no JSON"},
		{post, "/api/v1/quarantine/m1/release", `{} {}`, 400, "no JSON"},
		{get, "/api/v1/quarantine/m1/release", "", 405, "want POST"},
		{post, "/api/v1/quarantine", "{}", 405, "want GET"},
		{"PATCH", "/api/v1/accounts", "{}", 405, "want GET or POST"},
		{get, "/api/v1/nothing", "", 404, "error.missing"},
		{get, "/api/", "", 404, "error.missing"},
		{get, "/api/v2/quarantine", "", 404, "error.missing"},
	} {
		w := b.call(secret, c.method, c.path, c.body)
		if w.Code != c.want || !strings.Contains(w.Body.String(), c.says) || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s %s %s: %d %s %s", c.method, c.path, c.body, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
	}
	if got := b.call(secret, "PUT", "/api/v1/accounts", "{}").Header().Get("Allow"); got != "GET, POST" {
		t.Errorf("Allow: %q", got)
	}
}

func TestTheAPIExplainsInTheResultForm(t *testing.T) {
	b := newBench(t)
	acc, _ := b.people.Account(t.Context(), "ada")
	secret, _, err := b.people.issue(t.Context(), acc, token{Name: "x", Scopes: allRights(), Created: b.now})
	if err != nil {
		t.Fatal(err)
	}
	rec := journal.Record{V: journal.Version, Kind: journal.Message, ID: "m77", Time: b.now, From: "ann@friend.example", Rcpts: []string{"alice@example.com"},
		Reply:    policy.Reply{Code: 250, Enhanced: "2.0.0", Text: "Accepted"},
		Decision: &policy.Decision{Action: policy.Quarantine, Class: policy.Spam, Recipients: []policy.Verdict{{Address: "alice@example.com", Action: policy.Quarantine}}},
		Report:   &filters.Report{}, Micros: map[string]int64{"total": 5}}
	b.house.records = append(b.house.records, rec)
	var got struct {
		Records []struct{ ID string }
		Result  struct {
			ID, Action, Class string
			Reply             struct{ Code int }
			NotRun            []struct{}       `json:"not_run"`
			Timings           map[string]int64 `json:"timings_us"`
		}
	}
	w := b.call(secret, get, "/api/v1/trace/m77", "")
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || len(got.Records) != 1 || got.Result.ID != "m77" || got.Result.Action != "quarantine" ||
		got.Result.Class != "spam" || got.Result.Reply.Code != 250 || got.Result.NotRun == nil || got.Result.Timings["total"] != 5 {
		t.Errorf("%d %v\n%s", w.Code, err, w.Body)
	}
	for _, id := range []string{"m99", "..%2f"} {
		if w := b.call(secret, get, "/api/v1/trace/"+id, ""); w.Code != 404 {
			t.Errorf("%s: %d", id, w.Code)
		}
	}
}
