package admin

import (
	"context"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/mail"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/policy"
)

// at sets the clock to an hour of tomorrow: the shelf goes by the machine's, and what is kept must not have expired there.
func (b *bench) at(hour int) {
	y, m, d := time.Now().UTC().Date()
	b.now = time.Date(y, m, d+1, hour, 5, 0, 0, time.UTC)
}

// digestOf sends what is due and reads the two forms of one person's digest.
func (b *bench) digestOf(address string) (subject, text, html string) {
	b.t.Helper()
	b.posted = nil
	if _, err := b.digests.SendDue(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	for _, p := range b.posted {
		to, raw, _ := strings.Cut(p, "\n")
		if to != address {
			continue
		}
		m, err := mail.ReadMessage(strings.NewReader(raw))
		if err != nil {
			b.t.Fatal(err)
		}
		subject, _ = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		_, params, _ := mime.ParseMediaType(m.Header.Get("Content-Type"))
		parts := multipart.NewReader(m.Body, params["boundary"])
		for i := range 2 {
			part, err := parts.NextPart()
			if err != nil {
				b.t.Fatal(err)
			}
			body, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, part))
			if err != nil {
				b.t.Fatal(err)
			}
			if i == 0 {
				text = string(body)
			} else {
				html = string(body)
			}
		}
	}
	return subject, text, html
}

var linkPattern = regexp.MustCompile(`http://127\.0\.0\.1:8025(/d/\S+)`)

// linkTo is the path of the link beside a subject in the text form.
func linkTo(t *testing.T, text, subject string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, "* "+subject+"\n")
	m := linkPattern.FindStringSubmatch(rest)
	if !ok || m == nil {
		t.Fatalf("no link for %q in\n%s", subject, text)
	}
	return m[1]
}

// Everybody for whom something is held is told at the chosen hours, once; who chose otherwise is not.
func TestDigestsComeAtTheirHours(t *testing.T) {
	b := newBench(t)
	sent := func() int {
		n, err := b.digests.SendDue(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, c := range []struct{ hour, want int }{{5, 0}, {7, 3}, {8, 0}, {12, 0}, {13, 3}, {14, 0}} {
		if b.at(c.hour); sent() != c.want {
			t.Errorf("at %d o'clock not %d were sent", c.hour, c.want)
		}
	}
	b = newBench(t)
	for address, when := range map[string]string{"alice@example.com": "off", "bob@example.com": "daily"} {
		if err := b.people.chooseDigest(t.Context(), address, digestChoice{When: when}); err != nil {
			t.Fatal(err)
		}
	}
	if b.at(7); sent() != 2 {
		t.Error("who wants none got one, or another got none")
	}
	if b.at(13); sent() != 1 {
		t.Error("who wants one a day got two")
	}
}

// N-02, O-06: a stranger's words are text in both forms, nothing remote is in them, and nobody else is named.
func TestADigestShowsStrangersWordsAsText(t *testing.T) {
	b := newBench(t)
	b.at(7)
	subject, text, html := b.digestOf("alice@example.com")
	if !strings.Contains(subject, "4 messages") && !strings.Contains(subject, "messages are held") {
		t.Errorf("subject %q", subject)
	}
	for _, bad := range []string{"<script", "<img", "onerror=alert(1)>", "bob@example.com", "carol@example.com"} {
		if strings.Contains(html, bad) {
			t.Errorf("the HTML form holds %q", bad)
		}
	}
	for _, m := range regexp.MustCompile(`<[^>]*(?:src|href|background)="?([^" >]+)`).FindAllStringSubmatch(html, -1) {
		if !strings.HasPrefix(m[1], "http://127.0.0.1:8025/") {
			t.Errorf("it refers to %s", m[1])
		}
	}
	if !strings.Contains(html, "&lt;img src=x") || strings.Contains(text, "bob@example.com") {
		t.Error("the hostile subject is not shown as text")
	}
	if err := b.people.chooseDigest(t.Context(), "alice@example.com", digestChoice{Language: "zh"}); err != nil {
		t.Fatal(err)
	}
	if _, text, _ := b.digestOf("alice@example.com"); !strings.Contains(text, "为您隔离") && !strings.Contains(text, "隔离的邮件") {
		t.Errorf("not in the language that was chosen:\n%s", text)
	}
	if _, rest, ok := strings.Cut(text, "* a virus\n"); !ok || linkPattern.MatchString(rest[:strings.Index(rest, "\n\n")]) {
		t.Error("malware has a link")
	}
}

// O-01: five kinds of crawlers fetch every link before its owner, and nothing happens; then the owner confirms.
func TestLinksDoNothingUntilTheyAreConfirmed(t *testing.T) {
	b := newBench(t)
	b.at(7)
	_, text, _ := b.digestOf("alice@example.com")
	before := b.state()
	for _, m := range linkPattern.FindAllStringSubmatch(text, -1) {
		for _, edit := range []func(*http.Request){
			func(r *http.Request) {},
			func(r *http.Request) { r.Method = http.MethodHead },
			func(r *http.Request) { r.Header.Set("Sec-Purpose", "prefetch") },
			func(r *http.Request) { r.Header.Set("User-Agent", "LinkScanner/1.0") },
			func(r *http.Request) { r.RemoteAddr = "192.0.2.1:5" },
		} {
			if w := b.do(nil, get, m[1], nil, edit); w.Code != 200 {
				t.Errorf("%s: %d", m[1], w.Code)
			}
		}
	}
	if b.state() != before {
		t.Fatal("looking changed something")
	}
	path := linkTo(t, text, "for three")
	if w := b.do(nil, post, path, url.Values{"act": {"release"}}); w.Code != 200 || len(b.house.released) != 1 || b.house.released[0] != "m3 alice@example.com" { // O-07
		t.Errorf("confirmed: %d, released %q", w.Code, b.house.released)
	}
	if w := b.do(nil, post, path, url.Values{"act": {"release"}}, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }); w.Code != 403 {
		t.Errorf("from another site: %d", w.Code) // O-04
	}
	if did := b.did("link of alice@example.com"); len(did) != 1 || did[0] != "release m3 alice@example.com" {
		t.Errorf("audit %q", did)
	}
}

// O-02: altered, too old, another's, or over: 403 or 410, and written down when it was meant to act.
func TestLinksAreBoundAndEnd(t *testing.T) {
	b := newBench(t)
	b.at(7)
	_, text, _ := b.digestOf("alice@example.com")
	path := linkTo(t, text, "plain spam")
	body, mac, _ := strings.Cut(strings.TrimPrefix(path, "/d/"), ".")
	raw, _ := base64.RawURLEncoding.DecodeString(body)
	forge := func(old, new string) string {
		return "/d/" + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(raw), old, new, 1))) + "." + mac
	}
	for name, p := range map[string]string{"another message": forge(`"m1"`, `"m2"`), "another recipient": forge("alice@", "bob@"), "another action": forge(actDecide, actSettings),
		"another end": forge(`"e":1`, `"e":9`), "no signature": "/d/" + body, "half a signature": path[:len(path)-5], "nonsense": "/d/x.y", "too long": "/d/" + strings.Repeat("x", 2000)} {
		for _, method := range []string{get, post} {
			if w := b.do(nil, method, p, url.Values{"act": {"delete"}}); w.Code != 403 {
				t.Errorf("%s, %s: %d, want 403", name, method, w.Code)
			}
		}
	}
	if len(b.did("")) != 8 {
		t.Errorf("audit %q", b.did(""))
	}
	b.now = b.now.Add(linkLife)
	if w := b.do(nil, post, path, url.Values{"act": {"delete"}}); w.Code != 410 {
		t.Errorf("after three days: %d", w.Code)
	}
	b.now = b.now.Add(-time.Hour)
	b.house.entries = b.house.entries[1:]
	if w := b.do(nil, get, path, nil); w.Code != 410 {
		t.Errorf("of a message that is gone: %d", w.Code)
	}
	if len(b.house.released)+len(b.house.deleted) != 0 {
		t.Error("something was done")
	}
}

// Who opens a link reads why the message is held in their own language, and that a deletion stays one.
func TestALinkSaysWhyInTheReadersLanguage(t *testing.T) {
	b := newBench(t)
	b.at(7)
	b.house.put("m9", "Malware was found.", policy.Spam, "alice@example.com")
	_, text, _ := b.digestOf("alice@example.com")
	page := b.do(nil, get, linkTo(t, text, "Malware was found."), nil, func(r *http.Request) { r.Header.Set("Accept-Language", "zh-CN") }).Body.String()
	for _, want := range []string{"发现恶意软件。", "删除后无法恢复。"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %s\n%s", want, page)
		}
	}
}

// O-03: forwarded to a colleague, a link needs its owner's login; without one it releases spam and nothing worse.
func TestAForwardedLinkIsWorthLittle(t *testing.T) {
	b := newBench(t)
	b.at(7)
	res, _ := readResult(b.house.entries[0].Result)
	res.Auth = &filters.Auth{DMARC: filters.DMARC{Result: "fail"}}
	for class, may := range map[policy.Class]bool{policy.Spam: false, policy.Phish: false, policy.Malware: false} {
		if loose(class, res) != may {
			t.Errorf("%s that fails DMARC by link: %v", class, !may)
		}
	}
	_, text, _ := b.digestOf("alice@example.com")
	path := linkTo(t, text, strings.TrimSuffix(short(evil), "")) // held as phishing
	if w := b.do(nil, post, path, url.Values{"act": {"release"}}); w.Code != 403 || len(b.house.released) != 0 {
		t.Errorf("phishing by link: %d", w.Code)
	}
	b.digests.cfg.Auth = "login"
	spam := linkTo(t, text, "plain spam")
	if w := b.do(nil, get, spam, nil); w.Code != 303 || !strings.HasPrefix(w.Header().Get("Location"), "/login?next=%2Fd%2F") {
		t.Errorf("without login: %d %s", w.Code, w.Header().Get("Location"))
	}
	if w := b.do(nil, post, spam, url.Values{"act": {"release"}}); w.Code != 401 {
		t.Errorf("POST without login: %d", w.Code)
	}
	if _, err := b.people.Create(t.Context(), AccountSpec{Name: "bob", Roles: []Role{User}, Addresses: []string{"bob@example.com"}, Password: goodPassword}); err != nil {
		t.Fatal(err)
	}
	if w := b.do(b.as("bob"), post, spam, url.Values{"act": {"release"}}); w.Code != 403 || len(b.house.released) != 0 {
		t.Errorf("by a colleague: %d", w.Code)
	}
	if w := b.do(b.as("alice"), post, spam, url.Values{"act": {"release"}}); w.Code != 200 || len(b.house.released) != 1 {
		t.Errorf("by its owner: %d", w.Code)
	}
}

// Who gets digests changes them by a link, or on the account page.
func TestPeopleChooseTheirDigests(t *testing.T) {
	b := newBench(t)
	b.at(7)
	path := b.fill("/d/{token}", "")
	if w := b.do(nil, post, path, url.Values{"when": {"off"}, "language": {"zh"}}); w.Code != 200 {
		t.Errorf("by link: %d", w.Code)
	}
	if c, _ := b.people.digestChoice(t.Context(), "alice@example.com"); c.When != "off" || c.Language != "zh" {
		t.Errorf("%+v", c)
	}
	if w := b.do(b.as("alice"), post, "/account/digest", url.Values{"when": {"daily"}}); w.Code != 303 {
		t.Errorf("on the account page: %d", w.Code)
	}
	if c, _ := b.people.digestChoice(t.Context(), "alice@example.com"); c.When != "daily" {
		t.Errorf("%+v", c)
	}
	if w := b.do(nil, post, path, url.Values{"when": {"hourly"}}); w.Code != 400 {
		t.Errorf("nonsense: %d", w.Code)
	}
}

// A courierFunc is a Courier.
type courierFunc func(ctx context.Context, to string, message []byte) error

func (f courierFunc) Send(ctx context.Context, to string, message []byte) error {
	return f(ctx, to, message)
}

// Another gateway that shares the shelf looks at the hour while this one sends: each person is told once.
func TestADigestIsSentByOneGateway(t *testing.T) {
	b := newBench(t)
	b.at(7)
	told := map[string]int{}
	deps := b.digests.deps
	deps.Courier = courierFunc(func(_ context.Context, to string, _ []byte) error {
		told[to]++
		return nil
	})
	other, err := NewDigests(b.digests.cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	deps.Courier = courierFunc(func(ctx context.Context, to string, _ []byte) error {
		told[to]++
		_, err := other.SendDue(ctx)
		return err
	})
	one, err := NewDigests(b.digests.cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := one.SendDue(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(told) < 2 {
		t.Errorf("told: %v", told)
	}
	for who, n := range told {
		if n != 1 {
			t.Errorf("%s was told %d times", who, n)
		}
	}
}
