package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/gateway/journal"
	"gatepost/gateway/quarantine"
	"gatepost/policy"
)

// A house is a quarantine, a journal and a next hop in memory.
type house struct {
	mu       sync.Mutex
	entries  []quarantine.Entry
	raw      map[string]string
	html     string
	records  []journal.Record
	released []string
	deleted  []string
	view     []string // nil: everything
	root     *house
}

func (h *house) top() *house {
	if h.root != nil {
		return h.root
	}
	return h
}

func (h *house) own(addresses ...string) Quarantine { return &house{view: addresses, root: h} }

func (h *house) has(e quarantine.Entry) bool {
	return h.root == nil || slices.ContainsFunc(e.Rcpts, func(r quarantine.Recipient) bool { return slices.Contains(h.view, r.Address) })
}

func (h *house) List(_ context.Context, q quarantine.Query) ([]quarantine.Entry, error) {
	var out []quarantine.Entry
	past := q.Before == ""
	for _, e := range h.top().entries {
		if !past {
			past = e.ID == q.Before
			continue
		}
		if h.has(e) && (q.Text == "" || strings.Contains(e.Subject, q.Text)) && len(out) < q.Limit {
			e.Result = nil // as a real store does
			out = append(out, e)
		}
	}
	return out, nil
}

func (h *house) Count(ctx context.Context, q quarantine.Query, most int) (int, error) {
	q.Limit, q.Before = most, ""
	list, err := h.List(ctx, q)
	return len(list), err
}

func (h *house) Entry(_ context.Context, id string) (*quarantine.Entry, error) {
	for _, e := range h.top().entries {
		if e.ID == id && h.has(e) {
			return &e, nil
		}
	}
	return nil, quarantine.ErrNotFound
}

type stored struct{ *strings.Reader }

func (stored) Close() error { return nil }

func (h *house) Open(_ context.Context, id string) (quarantine.Content, error) {
	raw, ok := h.top().raw[id]
	if !ok {
		return nil, quarantine.ErrNotFound
	}
	return stored{strings.NewReader(raw)}, nil
}

func (h *house) Release(_ context.Context, id string, rcpts []string, _ string) ([]ReleaseOutcome, error) {
	var out []ReleaseOutcome
	for _, a := range rcpts {
		h.released = append(h.released, id+" "+a)
		out = append(out, ReleaseOutcome{Rcpt: a, OK: a != "carol@example.com", Reply: "250 2.0.0 taken by the next hop"})
	}
	return out, nil
}

func (h *house) Delete(_ context.Context, id string, rcpts []string, _ string) error {
	for _, a := range rcpts {
		h.deleted = append(h.deleted, id+" "+a)
	}
	return nil
}

func (h *house) Trace(_ context.Context, query string, limit int) ([]journal.Record, error) {
	var out []journal.Record
	for _, r := range h.records {
		if r.ID == query && len(out) < limit {
			out = append(out, r)
		}
	}
	return out, nil
}

func (h *house) Recent(_ context.Context, kind journal.Kind, _ time.Time, limit int) ([]journal.Record, error) {
	var out []journal.Record
	for _, r := range h.records {
		if r.Kind == kind && len(out) < limit {
			out = append(out, r)
		}
	}
	return out, nil
}

func (h *house) Append(_ context.Context, r *journal.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.records = append(h.records, *r)
	return nil
}

func (h *house) Body(src mail.Source, limit int) (Body, error) {
	b, err := io.ReadAll(io.NewSectionReader(src, 0, src.Size()))
	_, text, _ := strings.Cut(string(b), "\r\n\r\n")
	return Body{Text: text, HTML: h.html}, err
}

const evil = `<img src=x onerror=alert(1)>"'><script>alert(1)</script>`

func (h *house) put(id, subject string, class policy.Class, rcpts ...string) {
	because := []policy.Reason{{Code: "spam.words", Rule: subject, At: "policy.yaml:7", Weight: 9000, Text: subject}}
	finding := filters.Finding{Filter: "content", Code: "spam.words", Text: subject,
		Proof: []filters.Evidence{{Where: "body", At: &[2]int64{40, 12}, What: subject}}}
	dec := policy.Decision{Action: policy.Quarantine, Class: class, Score: 9000, Decided: []string{"spam.words"}, WouldPass: []string{subject}}
	e := quarantine.Entry{ID: id, Time: time.Now(), Expires: time.Now().Add(time.Hour), Class: class, Score: 9000, MailFrom: "s@sender.example",
		Author: "s@sender.example", Name: subject, Subject: subject, Client: "192.0.2.1", Helo: subject}
	for _, a := range rcpts {
		e.Rcpts = append(e.Rcpts, quarantine.Recipient{Address: a, State: quarantine.Waiting})
		dec.Recipients = append(dec.Recipients, policy.Verdict{Address: a, Action: policy.Quarantine, Because: because})
	}
	attachments := []filters.Attachment{{Name: subject, Type: subject, SHA256: subject, Defects: []string{subject}}}
	e.Result, _ = json.Marshal(map[string]any{"action": "quarantine", "class": class, "score": 9, "recipients": dec.Recipients, "decided": dec.Decided,
		"would_pass_if": dec.WouldPass, "findings": []filters.Finding{finding}, "not_run": []filters.Failure{{Filter: subject, Error: subject}},
		"attachments": attachments, "urls": []filters.URL{{URL: "https://good.example@evil.example/" + subject, Text: subject}}, "defects": []string{subject}})
	h.entries = append(h.entries, e)
	h.raw[id] = "From: s@sender.example\r\nTo: alice@example.com\r\nSubject: " + subject + "\r\n\r\nHello " + subject + "\r\n"
	h.records = append(h.records, journal.Record{Kind: journal.Message, ID: id, Time: e.Time, From: e.MailFrom, Rcpts: rcpts, Subject: subject,
		Helo: subject, Client: netip.MustParseAddr("192.0.2.1"), Reply: policy.Reply{Code: 250, Enhanced: "2.6.0", Text: subject}, Decision: &dec,
		Report: &filters.Report{Facts: filters.Facts{Findings: []filters.Finding{finding}, Attachments: attachments}}})
}

// A World is all rooms that the pages look into and that need not be there, and what a test asks of them afterwards.
type World interface {
	Rescanner
	Policies
	PolicyChanger
	Entries
	Testwright
	Teacher
	Waiters
	Holds
	TLSReadiness
	Acquaintances
	Hooks

	State() []any
	Made() []policy.Entry
	Taught() []string
	Asked() []string
	Text() string
	Find(Rescan)
}

// furnish makes a World. It comes from outside (see world_test.go), for it is made of this package.
var furnish func(now time.Time) World

// Furnish says where a World comes from.
func Furnish(f func(now time.Time) World) { furnish = f }

// A bench is the pages over a house, with one account for each role.
type bench struct {
	t       *testing.T
	house   *house
	rooms   World
	digests *Digests
	posted  []string // "address\nmessage", digests that were sent
	shelf   *MemoryShelf
	people  *Accounts
	web     http.Handler
	now     time.Time
	cfg     Config
}

const goodPassword = "correct-horse-battery"

func newBench(t *testing.T, edit ...func(*Config, *Deps)) *bench {
	t.Helper()
	b := &bench{t: t, house: &house{raw: make(map[string]string)}, shelf: &MemoryShelf{}, now: time.Now(), cfg: Defaults()}
	b.cfg.MTASTS = MTASTS{Mode: "testing", MX: []string{"mx.example.com"}, MaxAge: 24 * time.Hour}
	b.rooms = furnish(b.now)
	b.house.put("m1", "plain spam", policy.Spam, "alice@example.com")
	b.house.put("m2", "for bob", policy.Spam, "bob@example.com")
	b.house.put("m3", "for three", policy.Spam, "alice@example.com", "bob@example.com", "carol@example.com")
	b.house.put("m4", "a virus", policy.Malware, "alice@example.com")
	b.house.put("m5", evil, policy.Phish, "alice@example.com")
	b.people = newAccounts(b.shelf, cost{time: 1, memory: 64, threads: 1})
	for name, role := range map[string]Role{"alice": User, "rev": Reviewer, "view": ContentViewer, "aud": Auditor, "ada": Admin} {
		if _, err := b.people.Create(t.Context(), AccountSpec{Name: name, Roles: []Role{role}, Addresses: []string{"alice@example.com"}, Password: goodPassword}); err != nil {
			t.Fatal(err)
		}
	}
	deps := Deps{Quarantine: b.house, Own: b.house.own, Releaser: b.house, Deleter: b.house, Journal: b.house, Accounts: b.people,
		Meter: NewMeter(), Rescanner: b.rooms, Policies: b.rooms, Changer: b.rooms, Entries: b.rooms, Testwright: b.rooms, Teacher: b.rooms, Waiters: b.rooms, Holds: b.rooms, TLS: b.rooms, Known: b.rooms, Hooks: b.rooms,
		Bodies: b.house, Now: func() time.Time { return b.now }}
	var err error
	b.digests, err = NewDigests(Digest{Times: []string{"07:00", "13:00"}, Zone: "UTC", To: "everybody", Auth: "token", Language: "en"}, DigestDeps{Quarantine: b.house, Own: b.house.own,
		Accounts: b.people, Courier: b, BaseURL: "http://127.0.0.1:8025", Hostname: "mx.example.com", Now: func() time.Time { return b.now }})
	if err != nil {
		t.Fatal(err)
	}
	deps.Digests = b.digests
	for _, e := range edit {
		e(&b.cfg, &deps)
	}
	if b.web, err = New(b.cfg, deps); err != nil {
		t.Fatal(err)
	}
	return b
}

// A person is an open session.
type person struct{ secret, csrf string }

func (b *bench) as(name string) *person {
	b.t.Helper()
	acc, err := b.people.Account(b.t.Context(), name)
	if err != nil {
		b.t.Fatal(err)
	}
	secret, err := b.people.begin(b.t.Context(), acc, "test", b.now, 12*time.Hour)
	if err != nil {
		b.t.Fatal(err)
	}
	v, err := b.people.resume(b.t.Context(), secret, b.now, time.Hour, 12*time.Hour, false)
	if err != nil || v == nil {
		b.t.Fatal("no session: ", err)
	}
	return &person{secret, v.session.CSRF}
}

// do makes one request from the machine itself; form, if not nil, is its body.
func (b *bench) do(p *person, method, path string, form url.Values, edit ...func(*http.Request)) *httptest.ResponseRecorder {
	var body io.Reader
	if form != nil {
		if p != nil && form.Get("csrf") == "" {
			form.Set("csrf", p.csrf)
		}
		body = strings.NewReader(form.Encode())
	}
	r := httptest.NewRequest(method, path, body)
	r.Host, r.RemoteAddr = "127.0.0.1:8025", "127.0.0.1:40000"
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if p != nil {
		r.AddCookie(&http.Cookie{Name: loopbackCookie, Value: p.secret})
	}
	for _, e := range edit {
		e(r)
	}
	w := httptest.NewRecorder()
	b.web.ServeHTTP(w, r)
	return w
}

// call makes one API request with a JSON body.
func (b *bench) call(token, method, path, body string, edit ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, bytes.NewReader([]byte(body)))
	r.Host, r.RemoteAddr = "127.0.0.1:8025", "127.0.0.1:40000"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for _, e := range edit {
		e(r)
	}
	w := httptest.NewRecorder()
	b.web.ServeHTTP(w, r)
	return w
}

// state is everything that a request could have changed. That somebody read a message is written down, and changes nothing.
func (b *bench) state() string {
	h := b.house
	changes := slices.DeleteFunc(slices.Clone(h.records), func(r journal.Record) bool { return r.Action == "read" || r.Action == "downloaded" })
	out, err := json.Marshal([]any{h.entries, changes, h.released, h.deleted, b.rooms.State()})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, kind := range []string{kindAccount, kindSession, kindToken, kindDigest, kindLinkKey, kindClaim} {
		docs, _ := b.shelf.List(b.t.Context(), kind, "")
		more, _ := json.Marshal(docs)
		out = append(out, more...)
	}
	return string(out)
}

// Send implements Courier.
func (b *bench) Send(_ context.Context, to string, message []byte) error {
	b.posted = append(b.posted, to+"\n"+string(message))
	return nil
}

// fill puts real names into a route's path.
func (b *bench) fill(pattern, id string) string {
	link := ""
	if strings.Contains(pattern, "{token}") {
		var err error
		if link, err = b.digests.link(b.t.Context(), digestToken{Rcpt: "alice@example.com", Action: actSettings}); err != nil {
			b.t.Fatal(err)
		}
		link = link[strings.LastIndexByte(link, '/')+1:]
	}
	name := "alice"
	if strings.Contains(pattern, "/kept/") {
		name = "k1"
	}
	return strings.NewReplacer("{$}", "", "{id}", id, "{name}", name, "{file}", "gatepost.css", "{key}", id, "{token}", link).Replace(pattern)
}
