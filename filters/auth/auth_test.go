package auth

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// hung is a resolver whose server never answers: it waits until the caller gives up, as gateway/dns does.
type hung struct{ table }

func (h hung) LookupTXT(ctx context.Context, name string) ([]string, error) {
	<-ctx.Done()
	return table{name + " TXT": {"TEMP"}}.LookupTXT(ctx, name)
}

// broken is a resolver that crashes.
type broken struct{ table }

func (broken) LookupTXT(context.Context, string) ([]string, error) { panic("resolver bug") }

// chainOf runs the filter as the gateway does.
func chainOf(t *testing.T, r Resolver, message string) *filters.Report {
	t.Helper()
	from, err := mail.ParseAddress("a@example.com")
	if err != nil {
		t.Fatal(err)
	}
	env := &mail.Envelope{Time: now(), Remote: netip.MustParseAddr("192.0.2.1"), Helo: "h.example", From: from}
	c := filters.NewChain([]filters.Link{{Name: "auth", Stage: filters.AtMessage, Timeout: 50 * time.Millisecond, Filter: New(Config{}, r, nil)}})
	var rep filters.Report
	<-c.Run(t.Context(), filters.AtMessage, &mail.Mail{Envelope: env, Message: mail.Parse(mail.Memory(message))}, &rep)
	return &rep
}

// L-01, L-02: at the deadline what was not found out is a temporary error, and the report says so.
func TestTheDeadlineGivesTemporaryErrors(t *testing.T) {
	k, _ := testKey(t, 1024)
	rep := chainOf(t, hung{}, pen{k, usualTags}.sign(t, letter("a@example.com")))
	if rep.Auth == nil {
		t.Fatalf("no facts: %+v", rep.Failures)
	}
	a := rep.Auth
	if a.SPF.Result != "temperror" || a.SPFHelo.Result != "temperror" || a.DKIM[0].Result != "temperror" || a.DMARC.Result != "temperror" {
		t.Errorf("%+v", a)
	}
}

// A crash in any of the checks is a failure of the filter, never a fact about the message.
func TestACrashIsNoFact(t *testing.T) {
	rep := chainOf(t, broken{}, letter("a@example.com"))
	if rep.Auth != nil || len(rep.Findings) != 0 || len(rep.Failures) != 1 || !strings.Contains(rep.Failures[0].Error, "crash") {
		t.Errorf("facts %+v, failures %+v", rep.Auth, rep.Failures)
	}
}

// One filter serves many messages at once; a source in memory, one on disk and one without its bytes give the same.
func TestManyMessagesAtOnce(t *testing.T) {
	k, record := testKey(t, 1024)
	z := table{"s._domainkey.example.com TXT": {record}, "_dmarc.example.com TXT": {"v=DMARC1; p=reject"}}
	f := New(Config{}, z, nil)
	var wg sync.WaitGroup
	for i := range 24 {
		body := strings.Repeat(fmt.Sprintf("line %d of  some \t length\r\n", i), 200*(i+1))
		msg := signed(t, k, "example.com", letter("a@example.com")+body)
		wg.Go(func() {
			for _, src := range []mail.Source{mail.Memory(msg), bytes.NewReader([]byte(msg))} {
				facts, err := f.Check(t.Context(), &mail.Mail{Envelope: &mail.Envelope{Time: now()}, Message: mail.Parse(src)})
				if err != nil || facts.Auth.DKIM[0].Result != "pass" || facts.Auth.Domain != "example.com" {
					t.Errorf("message %d: %+v %v", i, facts.Auth, err)
				}
			}
		})
	}
	wg.Wait()
}

// Warm asks what the message will ask, and no more of the DNS is needed for its envelope then.
func TestWarmAsksAhead(t *testing.T) {
	z := &asked{table: table{"example.com TXT": {"v=spf1 include:spf.example.com -all"}, "spf.example.com TXT": {"v=spf1 -all"}}}
	from, err := mail.ParseAddress("a@example.com")
	if err != nil {
		t.Fatal(err)
	}
	New(Config{}, z, nil).Warm(t.Context(), &mail.Envelope{Time: now(), Remote: netip.MustParseAddr("192.0.2.1"), Helo: "h.example", From: from})
	all := strings.Join(z.list, " ")
	for _, q := range []string{"example.com", "spf.example.com", "h.example", "_dmarc.example.com"} {
		if !strings.Contains(" "+all+" ", " "+q+" ") {
			t.Errorf("%s was not asked; asked %s", q, all)
		}
	}
}

// What Warm found out is not found out again, once; what it could not find out is.
func TestCheckTakesWhatWarmFoundOut(t *testing.T) {
	from, err := mail.ParseAddress("a@example.com")
	if err != nil {
		t.Fatal(err)
	}
	env := &mail.Envelope{ID: "one", Time: now(), Remote: netip.MustParseAddr("192.0.2.1"), Helo: "h.example", From: from}
	z := &asked{table: table{"example.com TXT": {"v=spf1 ip4:192.0.2.0/24 -all"}, "192.0.2.1 PTR": {"h.example"}, "h.example A": {"192.0.2.1"}}}
	f := New(Config{}, z, nil)
	check := func() filters.Facts {
		z.list = nil
		facts, err := f.Check(t.Context(), &mail.Mail{Envelope: env, Message: mail.Parse(mail.Memory(letter("a@example.com")))})
		if err != nil {
			t.Fatal(err)
		}
		return facts
	}
	alone := check()
	if !slices.Contains(z.list, "example.com") {
		t.Fatalf("asked %q", z.list)
	}
	f.Warm(t.Context(), env)
	if after := check(); !reflect.DeepEqual(after, alone) || slices.Contains(z.list, "example.com") || slices.Contains(z.list, "192.0.2.1") {
		t.Errorf("after Warm %+v and asked %q; without %+v", after, z.list, alone)
	}
	if check(); !slices.Contains(z.list, "example.com") {
		t.Error("what Warm found out was used twice")
	}
	z.table["example.com TXT"] = []string{"TEMP"}
	f.Warm(t.Context(), env)
	z.table["example.com TXT"] = []string{"v=spf1 -all"}
	if after := check(); after.Auth.SPF.Result != "fail" {
		t.Errorf("a question without an answer was not asked again: %+v", after.Auth.SPF)
	}
	for i := range 2 * maxEarly {
		f.early.put(strconv.Itoa(i), preview{})
	}
	if len(f.early.known) > maxEarly {
		t.Errorf("%d envelopes are kept", len(f.early.known))
	}
}

// L-08: three reverse names are tried, and a name that does not lead back is no name.
func TestReverseNamesMustLeadBack(t *testing.T) {
	z := table{"192.0.2.1 PTR": {"a.example"}, "a.example A": {"192.0.2.1"}, "192.0.2.2 PTR": {"b.example"}, "b.example A": {"192.0.2.99"},
		"192.0.2.4 PTR": {"n1.example", "n2.example", "n3.example", "a4.example"}, "a4.example A": {"192.0.2.4"},
		"192.0.2.5 PTR": {"TEMP"}, "192.0.2.6 PTR": {"dead.example"}, "dead.example A": {"TEMP"}}
	for ip, want := range map[string]string{"192.0.2.1": "iprev.pass", "192.0.2.2": "iprev.fail", "192.0.2.3": "iprev.none", "192.0.2.4": "iprev.fail",
		"192.0.2.5": "iprev.temperror", "192.0.2.6": "iprev.temperror"} {
		f := session{ip: ip, helo: "h.example", from: "a@example.com", zone: z, message: letter("a@example.com")}.facts(t)
		if !has(f, want) {
			t.Errorf("%s: %q, want %s", ip, f.Auth.IPRev, want)
		}
	}
}

// D-22: a signature that passed has a token of its own by which its recipients can be counted, and a message whose
// recipients its signed fields do not name says so.
func TestReplaysCanBeCounted(t *testing.T) {
	k, record := testKey(t, 1024)
	z := table{"s._domainkey.example.com TXT": {record}}
	one, two := pen{k, usualTags}.sign(t, letter("a@example.com")), pen{k, usualTags}.sign(t, letter("b@example.com"))
	tokens := map[string]bool{}
	for _, m := range []string{one, one, "Received: by another\r\n" + one, two} {
		tokens[dkimOf(t, z, m).Token] = true
	}
	if len(tokens) != 2 || tokens[""] {
		t.Errorf("tokens %v", tokens)
	}
	for rcpt, want := range map[string]bool{"reader@example.net": false, "READER@example.net": false, "stranger@example.net": true} {
		if got := has(session{zone: z, rcpt: []string{rcpt}, message: one}.facts(t), "dkim.recipient-not-named"); got != want {
			t.Errorf("%s: %v, want %v", rcpt, got, want)
		}
	}
}

// Facts about one message take a bounded number of allocations.
func TestChecksAllocateLittle(t *testing.T) {
	msg := strings.Repeat("DKIM-Signature: v=1; a=rsa-sha256; d=a.example; s=s; h=from; bh=AAAA; b=AAAA\r\n", 100) + letter("a@example.com")
	m := &mail.Mail{Envelope: &mail.Envelope{Time: now()}, Message: mail.Parse(mail.Memory(msg))}
	m.Authors()
	f := New(Config{}, table{}, nil)
	if n := testing.AllocsPerRun(20, func() { f.Check(t.Context(), m) }); n > 4000 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzMessage(f *testing.F) {
	f.Add("DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=s; h=from; bh=AAAA; b=AAAA\r\nFrom: a@example.com\r\n\r\nx\r\n")
	f.Add("ARC-Seal: i=1; a=rsa-sha256; cv=none; d=e.example; s=s; b=AAAA\nFrom: <a@b>\n\nx")
	f.Add("From\r\n : a@b.example\r\nFrom: c@d.example, \"x\" <y@z>")
	z := table{"s._domainkey.example.com TXT": {"p=AAAA"}, "_dmarc.example.com TXT": {"v=DMARC1; p=reject"}}
	filter := New(Config{TrustedSealers: []string{"e.example"}}, z, map[string]bool{"example.com": true})
	f.Fuzz(func(t *testing.T, msg string) {
		m := mail.Parse(mail.Memory(msg))
		env := &mail.Envelope{Time: now(), Helo: "h.example"}
		facts, err := filter.Check(t.Context(), &mail.Mail{Envelope: env, Message: m})
		if err != nil || facts.Auth == nil {
			t.Fatalf("%+v %v", facts.Auth, err)
		}
		if facts.Auth.Domain != "" {
			t.Errorf("%q is authenticated as %s without any proof", msg, facts.Auth.Domain)
		}
		field := Results(env, &filters.Report{Facts: facts}, "mx.example.net")
		if strings.Count(field, "\n") != strings.Count(field, "\r\n\t")+1 {
			t.Errorf("injected: %q", field)
		}
		var last int64
		for _, s := range Forged(m, "mx.example.net") {
			if s.Start < last || s.End < s.Start || s.End > int64(len(msg)) {
				t.Errorf("span %v after %d in %d bytes", s, last, len(msg))
			}
			last = s.End
		}
	})
}

// A tally counts in a map.
type tally map[string]int

func (t tally) Replayed(_ context.Context, token string, rcpts int) bool {
	t[token] += rcpts
	return t[token] > 50
}

// D-22: one signature that is brought to many whom it does not name is told; a letter to those it names is not counted.
func TestReplaysAreTold(t *testing.T) {
	k, record := testKey(t, 1024)
	z := table{"s._domainkey.example.com TXT": {record}}
	message := pen{k, usualTags}.sign(t, letter("a@example.com"))
	counts := tally{}
	for n := 1; n <= 60; n++ {
		f := session{zone: z, cfg: Config{Replays: counts}, rcpt: []string{fmt.Sprintf("stranger%d@example.net", n)}, message: message}.facts(t)
		if got := has(f, "dkim.replay"); got != (n > 50) {
			t.Fatalf("after %d strangers: %v", n, got)
		}
		f = session{zone: z, cfg: Config{Replays: counts}, rcpt: []string{"reader@example.net"}, message: message}.facts(t)
		if has(f, "dkim.replay") {
			t.Fatalf("the reader it names is no replay, after %d strangers", n)
		}
	}
}
