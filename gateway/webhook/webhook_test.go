package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/gateway/dns"
	"gatepost/gateway/journal"
	"gatepost/policy"
	"gatepost/rules/conf"
)

const key = "a secret of some length"

// A call is one request that a receiver got.
type call struct {
	head http.Header
	body []byte
}

// A receiver is a program that is told of events.
type receiver struct {
	*httptest.Server
	calls chan call

	mu     sync.Mutex
	answer func(n int) int // status of the n-th request, from 1
	n      int
}

func receive(t *testing.T, answer func(n int) int) *receiver {
	t.Helper()
	r := &receiver{calls: make(chan call, 100), answer: answer}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		b, err := io.ReadAll(q.Body)
		if err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		r.n++
		status := r.answer(r.n)
		r.mu.Unlock()
		if status/100 == 3 {
			w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
		}
		w.WriteHeader(status)
		r.calls <- call{q.Header, b}
	}))
	t.Cleanup(r.Close)
	return r
}

func well(int) int { return 200 }

// next waits for a request.
func (r *receiver) next(t *testing.T) call {
	t.Helper()
	select {
	case c := <-r.calls:
		return c
	case <-t.Context().Done():
	case <-time.After(time.Minute):
	}
	t.Fatal("nothing came")
	return call{}
}

// loopback are the networks in which receivers of tests are.
func loopback() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

// hooks tell the receivers of the items; a try that failed is made again at once.
func hooks(t *testing.T, r Resolver, list ...Config) *Hooks {
	t.Helper()
	h := New(Deps{Gateway: "mx.example.com", Resolver: r, Backoff: func(int) time.Duration { return 0 }})
	if err := h.Use(list); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

func to(url string, edit ...func(*Config)) Config {
	c := Config{URL: conf.NewSecret(url), Secret: conf.NewSecret(key), Networks: loopback()}
	for _, e := range edit {
		e(&c)
	}
	return c
}

// until waits until the first receiver's status is as wanted.
func until(t *testing.T, h *Hooks, want string, ok func(Status) bool) Status {
	t.Helper()
	for range 6000 {
		if s := h.Status()[0]; ok(s) {
			return s
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s did not come about: %+v", want, h.Status()[0])
	return Status{}
}

// held is the record of a message that was held for two recipients and passed to a third.
func held() *journal.Record {
	return &journal.Record{Kind: journal.Message, ID: "0m1", From: "s@sender.example", Author: "boss@example.com", Subject: "Invoice", Rcpts: []string{"a@example.com", "b@example.com", "c@example.com"},
		Client: netip.MustParseAddr("192.0.2.1"), Decision: &policy.Decision{Class: policy.Spam, Score: 9000, Decided: []string{"bayes.spam"}},
		Fates: []journal.Fate{{Rcpt: "a@example.com", Fate: "quarantined"}, {Rcpt: "b@example.com", Fate: "quarantined"}, {Rcpt: "c@example.com", Fate: "delivered"}}}
}

func TestWhatHappensIsToldAndSigned(t *testing.T) {
	r := receive(t, well)
	h := hooks(t, nil, to(r.URL, func(c *Config) { c.Details = true }))
	for _, c := range []struct {
		rec  *journal.Record
		want string
	}{
		{held(), `"event":"message.held"…"data":{"id":"0m1","class":"spam","score":9,"decided":["bayes.spam"],"copies":2,"mail_from":"s@sender.example","from":"boss@example.com","subject":"Invoice","recipients":["a@example.com","b@example.com"],"client_ip":"192.0.2.1"}`},
		{&journal.Record{Kind: journal.Disposal, ID: "0m1", Action: "release", Actor: "ada", Fates: []journal.Fate{{Rcpt: "a@example.com", Fate: "released"}, {Rcpt: "b@example.com", Fate: "quarantined"}}},
			`"event":"message.released"…"data":{"id":"0m1","copies":1,"by":"ada","mail_from":"","recipients":["a@example.com"]}`},
		{&journal.Record{Kind: journal.Disposal, ID: "0m1", Action: "delete", Actor: "ada", Fates: []journal.Fate{{Rcpt: "b@example.com", Fate: "deleted"}}}, `"event":"message.deleted"…"by":"ada"`},
		{&journal.Record{Kind: journal.Management, Action: "reload", Generation: 7}, `"event":"policy.applied"…"data":{"generation":7}`},
		{&journal.Record{Kind: journal.Management, Action: "reload", Generation: 7, Note: "changed nothing: policy.yaml:3:1: unknown key"}, `"event":"policy.refused"…"data":{"generation":7,"problem":"policy.yaml:3:1: unknown key"}`},
	} {
		h.Observe(c.rec)
		got := r.next(t)
		first, second, _ := strings.Cut(c.want, "…")
		if s := string(got.body); !strings.Contains(s, first) || !strings.Contains(s, second) {
			t.Errorf("got %s\nwant %s", s, c.want)
		}
		var n Notice
		if err := json.Unmarshal(got.body, &n); err != nil || n.V != 1 || n.Gateway != "mx.example.com" || n.ID == "" || n.ID != got.head.Get("Gatepost-Delivery") || string(n.Event) != got.head.Get("Gatepost-Event") {
			t.Errorf("%+v, %v, %v", n, err, got.head)
		}
		sig := got.head.Get("Gatepost-Signature")
		var at int64
		if _, err := fmt.Sscanf(sig, "t=%d,", &at); err != nil || sig != Sign([]byte(key), time.Unix(at, 0), got.body) {
			t.Errorf("signature %q, %v", sig, err)
		}
	}
}

// A known answer, so that receivers in other languages can be held against it: it stands in docs/webhooks.md.
func TestSignatureOfAKnownBody(t *testing.T) {
	got := Sign([]byte(key), time.Unix(1800000000, 0), []byte(`{"v":1}`))
	if want := "t=1800000000,v1=4ade5213197dad8bf6382610764e9cf6b699462e018aae74651e62c2f46df56a"; got != want {
		t.Errorf("got %s", got)
	}
	page, err := os.ReadFile("../../docs/webhooks.md")
	if _, hex, _ := strings.Cut(got, ",v1="); err != nil || !strings.Contains(string(page), "`v1="+hex+"`") {
		t.Error("docs/webhooks.md says another: ", err)
	}
}

func TestNobodyIsNamedUnlessAskedFor(t *testing.T) {
	r := receive(t, well)
	h := hooks(t, nil, to(r.URL))
	h.Observe(held())
	s := string(r.next(t).body)
	for _, private := range []string{"example.com\",", "sender", "Invoice", "192.0.2.1", "boss"} {
		if strings.Contains(strings.Replace(s, `"gateway":"mx.example.com",`, "", 1), private) {
			t.Errorf("%q is told: %s", private, s)
		}
	}
	if !strings.Contains(s, `"copies":2`) {
		t.Error(s)
	}
}

func TestOnlyWantedEventsAreTold(t *testing.T) {
	r := receive(t, well)
	h := hooks(t, nil, to(r.URL, func(c *Config) { c.Events = []Event{Health} }))
	h.Observe(held())
	h.Observe(&journal.Record{Kind: journal.Message, Fates: []journal.Fate{{Fate: "delivered"}}})
	down := Condition{Name: "next hop mail1", Severity: "warning", Effect: "Mail for it waits.", Hint: "Look at it."}
	up := Condition{Name: "next hop mail1", OK: true, Severity: "warning"}
	fine := Condition{Name: "journal", OK: true, Severity: "critical"}
	for _, look := range [][]Condition{{up, fine}, {down, fine}, {down, fine}, {up, fine}, {down, fine}, {fine}} {
		h.Look(look)
	}
	for _, ok := range []bool{false, true, false, true} {
		var n struct {
			Event Event
			Data  Condition
		}
		if err := json.Unmarshal(r.next(t).body, &n); err != nil || n.Event != Health || n.Data.Name != down.Name || n.Data.OK != ok || !ok && n.Data.Effect == "" {
			t.Errorf("want %v: %+v, %v", ok, n, err)
		}
	}
	until(t, h, "four deliveries and no more", func(s Status) bool { return s.Delivered == 4 && s.Waiting == 0 })
}

func TestManyFailedLoginsAreToldOnce(t *testing.T) {
	r := receive(t, well)
	h := hooks(t, nil, to(r.URL))
	for i := range 3 * burstSize {
		h.Observe(&journal.Record{Kind: journal.Management, Action: "login failed", Client: netip.MustParseAddr("203.0.113.9"), Note: "hunter2"})
		if i < burstSize-1 && h.Status()[0].Waiting > 0 {
			t.Fatal("told after ", i+1)
		}
	}
	if s := string(r.next(t).body); !strings.Contains(s, `"data":{"failures":10,"seconds":0,"client_ip":"203.0.113.9"}`) || strings.Contains(s, "hunter2") {
		t.Error(s)
	}
	until(t, h, "one delivery", func(s Status) bool { return s.Delivered == 1 && s.Waiting == 0 })
}

func TestAReceiverThatFailsIsTriedAgainWithTheSameId(t *testing.T) {
	r := receive(t, func(n int) int { return []int{503, 429, 200, 404, 200}[n-1] })
	h := hooks(t, nil, to(r.URL))
	h.Observe(held())
	first, second, third := r.next(t), r.next(t), r.next(t)
	if id := first.head.Get("Gatepost-Delivery"); id != second.head.Get("Gatepost-Delivery") || id != third.head.Get("Gatepost-Delivery") || string(first.body) != string(third.body) {
		t.Error("a try is another notice")
	}
	if s := until(t, h, "the delivery", func(s Status) bool { return s.Delivered == 1 }); s.Error != "" || !s.Since.IsZero() || s.LastOK.IsZero() {
		t.Errorf("%+v", s)
	}
	h.Observe(held()) // 404: for good
	h.Observe(held())
	if s := until(t, h, "the next", func(s Status) bool { return s.Delivered == 2 }); s.Failed != 1 {
		t.Errorf("%+v", s)
	}
	if r.next(t); len(r.calls) > 1 {
		t.Error("what was refused for good was tried again")
	}
}

func TestAReceiverThatIsAwayIsGivenUpAndTold(t *testing.T) {
	r := receive(t, func(int) int { return 500 })
	h := hooks(t, nil, to(r.URL, func(c *Config) { c.Name = "chat" }))
	h.Observe(held())
	s := until(t, h, "giving up", func(s Status) bool { return s.Failed == 1 })
	if s.Name != "chat" || s.Error != "answered 500" || s.Since.IsZero() || s.Delivered != 0 || r.n != maxTries {
		t.Errorf("%+v after %d tries", s, r.n)
	}
}

// A receiver that takes nothing costs a bounded queue, and nobody waits for it.
func TestAFullQueueDropsAndCounts(t *testing.T) {
	stuck := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stuck }))
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(stuck) })
	h := hooks(t, nil, to(srv.URL))
	h.Observe(held())
	until(t, h, "the first try", func(s Status) bool { return len(h.senders[0].queue) == 0 })
	for range maxWaiting + 25 {
		h.Observe(held())
	}
	if s := h.Status()[0]; s.Dropped != 25 || s.Waiting != maxWaiting+1 {
		t.Errorf("%+v", s)
	}
}

// O-13: the address that is dialled is looked at, whatever name or form leads to it.
func TestAddressesInsideAreRefusedUnlessListed(t *testing.T) {
	r := receive(t, well)
	port := r.Listener.Addr().(*net.TCPAddr).Port
	zone, err := dns.FromZone("meta.example A 169.254.169.254\nlocal.example A 127.0.0.1\nmapped.example AAAA ::ffff:127.0.0.1\nboth.example A 10.0.0.1\nboth.example A 127.0.0.1\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "localhost", "local.example", "mapped.example", "both.example", "meta.example", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:169.254.169.254]", "[64:ff9b::7f00:1]",
		"0.0.0.0", "[::]", "10.1.2.3", "192.168.1.1", "172.16.0.1", "100.64.0.1", "169.254.169.254", "[fe80::1]", "[fd00::1]", "224.0.0.1", "255.255.255.255", "[2002:7f00:1::]", "2130706433", "0x7f.1", "127.1"} {
		for _, scheme := range []string{"http", "https"} {
			h := hooks(t, zone, to(fmt.Sprintf("%s://%s:%d/", scheme, host, port), func(c *Config) { c.Networks = nil }))
			h.Observe(held())
			if s := until(t, h, "giving up on "+host, func(s Status) bool { return s.Failed == 1 }); s.Error == "" {
				t.Errorf("%s: %+v", host, s)
			}
		}
	}
	if r.n != 0 {
		t.Errorf("%d requests came through", r.n)
	}
	c := to(fmt.Sprintf("http://local.example:%d/", port), func(c *Config) { c.Networks = nil })
	if err := Probe(t.Context(), c, zone); !errors.Is(err, ErrAddress) {
		t.Errorf("doctor: %v", err)
	}
	if c.Networks = loopback(); Probe(t.Context(), c, zone) != nil {
		t.Error("doctor does not reach what is listed")
	}
	h := hooks(t, zone, c)
	h.Observe(held())
	r.next(t)
}

// O-13: a name that first leads outside and then inside (DNS rebinding) is looked at anew at the dial.
func TestANameThatMovesInsideIsRefused(t *testing.T) {
	r := receive(t, well)
	_, port, _ := net.SplitHostPort(r.Listener.Addr().String())
	asked := 0
	moving := lookup(func() []netip.Addr {
		if asked++; asked == 1 {
			return []netip.Addr{netip.MustParseAddr("127.0.0.2")} // listed, and nobody there
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	})
	h := hooks(t, moving, to("http://rebind.example:"+port+"/", func(c *Config) { c.Networks = []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")} }))
	h.Observe(held())
	s := until(t, h, "giving up", func(s Status) bool { return s.Failed == 1 })
	if asked < 2 || r.n != 0 || !strings.Contains(s.Error, ErrAddress.Error()) {
		t.Errorf("asked %d times, %d requests, %+v", asked, r.n, s)
	}
}

// O-13: with a real name server between.
func TestAnAnswerOfANameServerIsLookedAt(t *testing.T) {
	r := receive(t, well)
	_, port, _ := net.SplitHostPort(r.Listener.Addr().String())
	server, err := dns.ServeZone("hook.example A 127.0.0.1\n")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	resolver, err := dns.New(dns.Config{Servers: []string{server.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	h := hooks(t, resolver, to("http://hook.example:"+port+"/", func(c *Config) { c.Networks = nil }))
	h.Observe(held())
	if s := until(t, h, "giving up", func(s Status) bool { return s.Failed == 1 }); !strings.Contains(s.Error, "127.0.0.1") || r.n != 0 || server.Total() == 0 {
		t.Errorf("%+v, %d requests", s, r.n)
	}
}

type lookup func() []netip.Addr

// LookupNetIP implements Resolver.
func (f lookup) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) { return f(), nil }

// O-13: http:// to the internet would show the event to everybody between; a listed network is the site's own word.
func TestClearTextStaysInListedNetworks(t *testing.T) {
	public := netip.MustParseAddr("8.8.8.8")
	for scheme, says := range map[string]string{"http": "use https://", "https": ""} {
		if got := (&dialer{clear: scheme == "http"}).refuse(public); (got == "") != (says == "") || !strings.Contains(got, says) {
			t.Errorf("%s: %q", scheme, got)
		}
	}
	if got := (&dialer{clear: true, networks: []netip.Prefix{netip.MustParsePrefix("8.8.8.0/24")}}).refuse(public); got != "" {
		t.Error(got)
	}
}

// O-13: a redirect is an answer, not a way.
func TestRedirectsAreNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		r := receive(t, func(int) int { return status })
		h := hooks(t, nil, to(r.URL))
		h.Observe(held())
		if s := until(t, h, "giving up", func(s Status) bool { return s.Failed == 1 }); !strings.Contains(s.Error, "redirects are not followed") || r.n != 1 {
			t.Errorf("%d: %+v after %d requests", status, s, r.n)
		}
	}
}

// The URL may have a key in it: it is in no status and in no error.
func TestTheURLIsToldToNobody(t *testing.T) {
	h := hooks(t, nil, to("http://127.0.0.1:1/services/T0KEN?key=T0KEN"))
	h.Observe(held())
	s := until(t, h, "giving up", func(s Status) bool { return s.Failed == 1 })
	if got := fmt.Sprintf("%+v %v", s, h.senders[0].cfg); strings.Contains(got, "T0KEN") || s.Name != "127.0.0.1:1" {
		t.Error(got)
	}
}

func TestUseKeepsReceiversThatStay(t *testing.T) {
	a, b := receive(t, well), receive(t, well)
	h := hooks(t, nil, to(a.URL))
	h.Observe(held())
	a.next(t)
	until(t, h, "the delivery", func(s Status) bool { return s.Delivered == 1 })
	if err := h.Use([]Config{to(b.URL), to(a.URL)}); err != nil {
		t.Fatal(err)
	}
	if s := h.Status(); len(s) != 2 || s[1].Delivered != 1 {
		t.Errorf("%+v", s)
	}
	if !h.Test(s0(h), "ada") {
		t.Error("there is no receiver of that name")
	}
	if got := string(b.next(t).body); !strings.Contains(got, `"event":"webhook.test"`) || !strings.Contains(got, `"by":"ada"`) {
		t.Error(got)
	}
	if err := h.Use(nil); err != nil || len(h.Status()) != 0 || h.Test("x", "ada") {
		t.Errorf("%v, %v", err, h.Status())
	}
	if err := h.Use([]Config{{URL: conf.NewSecret("ftp://x.example/")}}); err == nil {
		t.Error("ftp was taken")
	}
	var none *Hooks
	none.Observe(held())
	none.Look(nil)
	none.Close()
}

func s0(h *Hooks) string { return h.Status()[0].Name }

func TestWhatCannotWorkIsSaidAtTheStart(t *testing.T) {
	for text, want := range map[string]string{
		"url: https://hooks.example.com/x\nsecret: 0123456789abcdef\nevents: [message.held]\nnetworks: [10.0.0.0/8]\ndetails: true": "",
		"url: ftp://x.example/\nsecret: 0123456789abcdef":                                 "only https and http",
		"url: file:///etc/passwd\nsecret: 0123456789abcdef":                               "expected a URL",
		"url: https://me:PASSWORD@x.example/\nsecret: 0123456789abcdef":                   "user name",
		"url: https://x.example/#a\nsecret: 0123456789abcdef":                             "fragment",
		"url: https://x.example/\nsecret: short":                                          "16 are the least",
		"url: https://x.example/":                                                         "secret",
		"url: https://x.example/\nsecret: 0123456789abcdef\nevents: [mail.held]":          `unknown event "mail.held"`,
		"url: https://x.example/\nsecret: 0123456789abcdef\nevents: [webhook.test]\nx: 1": "unknown",
	} {
		var c Config
		problems := conf.Decode("x.yaml", []byte(text), &c)
		var all []string
		for _, p := range problems {
			all = append(all, p.Error())
		}
		got := strings.Join(all, "\n")
		if (want == "") != (got == "") || !strings.Contains(got, want) || strings.Contains(got, "PASSWORD") {
			t.Errorf("%s\ngot: %s\nwant: %s", text, got, want)
		}
	}
	if got := (&Config{URL: conf.NewSecret("https://h.example:8443/x")}).Title(); got != "h.example:8443" {
		t.Error(got)
	}
}

func TestBackoffGrowsAndIsBounded(t *testing.T) {
	var last time.Duration
	for try := 1; try < 40; try++ {
		d := Backoff(try)
		if d < last*3/4 && last < 5*time.Minute || d > 5*time.Minute*5/4 || d < time.Second {
			t.Errorf("try %d: %s after %s", try, d, last)
		}
		last = d
	}
	if !slices.Contains(Events(), Burst) || slices.Contains(Events(), Test) {
		t.Error(Events())
	}
}
