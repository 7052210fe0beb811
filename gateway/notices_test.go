package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/gateway/forward"
	"gatepost/gateway/journal"
	"gatepost/gateway/smtp"
	"gatepost/policy"
)

// A ledger keeps records in memory.
type ledger []*journal.Record

func (l *ledger) Append(r *journal.Record) error { *l = append(*l, r); return nil }
func (l *ledger) Written() error                 { return nil }
func (l *ledger) Sync() error                    { return nil }
func (l *ledger) Health() error                  { return nil }

// noticing are Notices over a ledger, at a time that a test moves.
func noticing(now *time.Time, l *ledger) *Notices {
	return &Notices{
		Hostname: "mx.example.com", Journal: l, Now: func() time.Time { return *now }, Failed: func(forward.Held, error) {},
		Recent: func(_ context.Context, since time.Time, fn func(*journal.Record) error) error {
			for _, r := range *l {
				if !r.Time.Before(since) {
					if err := fn(r); err != nil {
						return err
					}
				}
			}
			return nil
		},
	}
}

// refusedMail is a message on hold that the next hop refused for good.
func refusedMail(t *testing.T, from string, isVouched bool) (forward.Held, []forward.Outcome) {
	h := forward.Held{ID: "m1", Envelope: &mail.Envelope{ID: "m1"}, Vouched: isVouched, Since: time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC)}
	if from != "" {
		h.Envelope.From = address(t, from)
	}
	return h, []forward.Outcome{{Rcpt: address(t, "gone@example.com"), Reply: smtp.Custom(550, "5.1.1", "no such user")}}
}

const personal = "From: a@a.test\r\nSubject: hello\r\nMessage-ID: <1@a.test>\r\n\r\ngood morning\r\n"

func TestOnlyAnAuthenticatedSenderOfGoodMailIsVouchedFor(t *testing.T) { // J-06, J-07, P-14, HOSTILE 5.4
	good := policy.Decision{Action: policy.Accept}
	pass := func(result, domain string) *filters.Auth {
		return &filters.Auth{SPF: filters.SPF{Result: result, Domain: domain}}
	}
	dkim := func(result, domain string) *filters.Auth {
		return &filters.Auth{SPF: filters.SPF{Result: "fail"}, DKIM: []filters.DKIM{{Result: result, Domain: domain}}}
	}
	weakSPF, weakDKIM := pass("pass", "a.test"), dkim("pass", "a.test")
	weakSPF.SPF.Weak, weakDKIM.DKIM[0].Weak = true, true
	for name, c := range map[string]struct {
		from string
		auth *filters.Auth
		dec  policy.Decision
		want bool
	}{
		"SPF passes":                              {"s@a.test", pass("pass", "a.test"), good, true},
		"DKIM of the domain passes":               {"s@a.test", dkim("pass", "a.test"), good, true},
		"DKIM of a domain above passes":           {"s@mail.a.test", dkim("pass", "a.test"), good, true},
		"SPF fails":                               {"s@a.test", pass("fail", "a.test"), good, false},
		"SPF could not be asked":                  {"s@a.test", pass("temperror", "a.test"), good, false},
		"SPF is neutral":                          {"s@a.test", pass("neutral", "a.test"), good, false},
		"SPF passes for another domain":           {"s@a.test", pass("pass", "b.test"), good, false},
		"SPF passes for half the world":           {"s@a.test", weakSPF, good, false},
		"DKIM of another domain passes":           {"s@a.test", dkim("pass", "b.test"), good, false},
		"DKIM of a domain below passes":           {"s@a.test", dkim("pass", "x.a.test"), good, false},
		"DKIM of a domain that ends alike passes": {"s@evila.test", dkim("pass", "a.test"), good, false},
		"DKIM of a top level":                     {"s@a.test", dkim("pass", "test"), good, false},
		"DKIM fails":                              {"s@a.test", dkim("fail", "a.test"), good, false},
		"DKIM leaves the subject unsigned":        {"s@a.test", weakDKIM, good, false},
		"nobody looked":                           {"s@a.test", nil, good, false},
		"a bounce":                                {"", pass("pass", ""), good, false},
		"marked as spam":                          {"s@a.test", pass("pass", "a.test"), policy.Decision{Action: policy.Tag}, false},
		"of a bad class":                          {"s@a.test", pass("pass", "a.test"), policy.Decision{Action: policy.Accept, Class: policy.Malware}, false},
		"kept":                                    {"s@a.test", pass("pass", "a.test"), policy.Decision{Action: policy.Quarantine, Class: policy.Spam}, false},
	} {
		env := &mail.Envelope{}
		if c.from != "" {
			env.From = address(t, c.from)
		}
		var rep filters.Report
		rep.Auth = c.auth
		if got := vouched(env, &rep, &c.dec); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestNoProgramAndNoListIsTold(t *testing.T) { // J-04, J-05, RFC 3834
	now := time.Now()
	for field, want := range map[string]bool{
		"X: y": true, "Auto-Submitted: no": true, "Auto-Submitted: no (really)": true, "Precedence: first-class": true, "X-Auto-Response-Suppress: OOF": true,
		"Content-Type: text/plain":     true,
		"Auto-Submitted: auto-replied": false, "auto-submitted: AUTO-GENERATED; x=y": false, "Auto-Submitted:": false,
		"List-Id: <l.a.test>": false, "List-Unsubscribe: <mailto:x@a.test>": false, "Precedence: bulk": false, "Precedence: List": false,
		"PRECEDENCE:\r\n junk": false, "X-Auto-Response-Suppress: All": false, "X-Auto-Response-Suppress: DR, NDR": false,
		"Content-Type: multipart/report; report-type=delivery-status; boundary=b": false,
	} {
		h, why := refusedMail(t, "s@a.test", true)
		if got := noticing(&now, &ledger{}).May(h, source(field+"\r\n"+personal), why); got != want {
			t.Errorf("%q: %v", field, got)
		}
	}
	for name, c := range map[string]struct {
		from    string
		vouched bool
		src     mail.Source
	}{"forged": {"s@a.test", false, source(personal)}, "a bounce": {"", true, source(personal)}, "unreadable": {"s@a.test", true, unreadable{}}} {
		h, why := refusedMail(t, c.from, c.vouched)
		if noticing(&now, &ledger{}).May(h, c.src, why) {
			t.Errorf("%s: told", name)
		}
	}
}

func TestFewNoticesAnHour(t *testing.T) { // HOSTILE 5.4
	start := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		from func(i int) string
		want int
	}{
		"to an address": {func(int) string { return "s@a.test" }, 5},
		"to a domain":   {func(i int) string { return fmt.Sprintf("s%d@a.test", i) }, 50},
		"in all":        {func(i int) string { return fmt.Sprintf("s@a%d.test", i) }, 200},
	} {
		now, l := start, &ledger{}
		n := noticing(&now, l)
		storm := func() (told int) {
			for i := range 1000 {
				h, why := refusedMail(t, c.from(i), true)
				if n.May(h, source(personal), why) {
					told++
					n.Told(h, forward.Outcome{Rcpt: h.Envelope.From, Reply: smtp.Custom(250, "2.0.0", "ok")})
				}
			}
			return told
		}
		if got := storm(); got != c.want {
			t.Errorf("%s: %d", name, got)
		}
		n = noticing(&now, l) // a restart forgets nothing
		now = now.Add(30 * time.Minute)
		if got := storm(); got != 0 {
			t.Errorf("%s: %d more after a restart", name, got)
		}
		now = now.Add(31 * time.Minute)
		if got := storm(); got != c.want {
			t.Errorf("%s: %d in the next hour", name, got)
		}
	}
	now := start
	n := noticing(&now, &ledger{})
	n.Recent = func(context.Context, time.Time, func(*journal.Record) error) error {
		return errors.New("input/output error")
	}
	if h, why := refusedMail(t, "s@a.test", true); n.May(h, source(personal), why) {
		t.Error("told although nobody knows how often before")
	}
}

func TestANoticeComesFromNobodyAndGoesByTheHopThatRefused(t *testing.T) { // J-07
	now := time.Now()
	h, why := refusedMail(t, "s@a.test", true)
	n := noticing(&now, &ledger{})
	d, err := n.Notice(h, source(personal), why)
	if err != nil || !d.Envelope.From.IsNull() || len(d.Rcpts) != 1 || d.Rcpts[0].String() != "s@a.test" || d.Via != "example.com" {
		t.Fatalf("%+v, %v", d, err)
	}
	b, err := io.ReadAll(d.Edits.Reader(d.Source))
	text := string(b)
	if err != nil || len(b) > 64<<10 || strings.Contains(text, "good morning") || !strings.Contains(text, "Subject: hello") ||
		!strings.Contains(text, "Final-Recipient: rfc822; gone@example.com") || !strings.Contains(text, "Auto-Submitted: auto-replied") {
		t.Errorf("%v\n%s", err, text)
	}
	// It says of itself that no person wrote it: nobody is told about it.
	about, why := refusedMail(t, "s@a.test", true)
	if n.May(about, source(text), why) {
		t.Error("a notice about a notice")
	}
}
