package bulk

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/rules/sites"
)

func filter(t testing.TB) *Filter {
	t.Helper()
	s, err := sites.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	return New(Config{}, s)
}

// letter is a message with more header lines, from a reverse-path to reader@ours.example.
func letter(t testing.TB, mailFrom, header, body string) *mail.Mail {
	t.Helper()
	env := &mail.Envelope{Remote: netip.MustParseAddr("192.0.2.1")}
	for _, a := range []struct {
		text string
		set  func(mail.Address)
	}{{mailFrom, func(a mail.Address) { env.From = a }}, {"reader@ours.example", func(a mail.Address) { env.Rcpts = []mail.Address{a} }}} {
		if a.text == "" {
			continue
		}
		address, err := mail.ParseAddress(a.text)
		if err != nil {
			t.Fatal(err)
		}
		a.set(address)
	}
	text := strings.ReplaceAll("From: Shop <news@shop.com>\n"+header+"\n"+body+"\n", "\n", "\r\n")
	return &mail.Mail{Envelope: env, Message: mail.Parse(mail.Memory(text))}
}

func codes(t testing.TB, m *mail.Mail) []string {
	t.Helper()
	facts, err := filter(t).Check(context.Background(), m)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, x := range facts.Findings {
		known := slices.ContainsFunc(Codes(), func(c filters.Code) bool { return c.Name == x.Code })
		if !known || x.Text == "" || len(x.Proof) == 0 || x.Proof[0].What == "" {
			t.Errorf("%s is not documented or not proven: %+v", x.Code, x)
		}
		list = append(list, x.Code)
	}
	return list
}

// Each code with a message that shows it, and one that comes near and must not. J-cases: bounces and automatic answers are known as such.
func TestEachCodeIsStatedForItsReasonAndNotForOneThatComesNear(t *testing.T) {
	type message struct{ from, header, body string }
	for _, c := range []struct {
		code        string
		shows, near message
	}{
		{"bulk.list", message{"x@l.net", "List-Post: <mailto:l@l.net>\nList-Id: <l.l.net>\n", ""}, message{"x@l.net", "List-Id: <news.shop.com>\nList-Unsubscribe: <https://shop.com/u>\n", ""}},
		{"bulk.list", message{"x@l.net", "To: Talk <talk@l.net>\nReply-To: talk@L.net\n", ""}, message{"x@l.net", "To: reader@ours.example\nReply-To: reader@ours.example\n", ""}},
		{"bulk.list", message{"x@l.net", "To: talk@l.net, a@b.example\nReply-To: Talk <talk@l.net>\n", ""}, message{"x@l.net", "To: news@shop.com\nReply-To: news@shop.com\n", ""}},
		{"bulk.newsletter", message{"x@l.net", "List-Unsubscribe: <https://shop.com/u>\n", ""}, message{"x@l.net", "X-List-Unsubscribe: <https://shop.com/u>\n", ""}},
		{"bulk.one-click", message{"x@l.net", "List-Unsubscribe: <https://shop.com/u>\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\n", ""}, message{"x@l.net", "List-Unsubscribe-Post: List-Unsubscribe=One-Click\n", ""}},
		{"bulk.unsubscribe-elsewhere", message{"x@l.net", "List-Unsubscribe: <https://evil.net/u>\n", ""}, message{"x@l.net", "List-Unsubscribe: <https://evil.net/u>, <mailto:u@mail.shop.com>\n", ""}},
		{"bulk.unsubscribe-elsewhere", message{"x@l.net", "List-Unsubscribe: <mailto:u@evil.net>\n", ""}, message{"x@l.net", "List-Unsubscribe: <https://u1.ct.sendgrid.net/u>\n", ""}},
		{"bulk.precedence", message{"x@l.net", "Precedence: Bulk\n", ""}, message{"x@l.net", "Precedence: list\n", ""}},
		{"bulk.mailer", message{"x@l.net", "Feedback-ID: 1:2:3:x\n", ""}, message{"x@l.net", "X-Mailer: x\n", ""}},
		{"bulk.verp", message{"bounce-reader=ours.example@l.net", "", ""}, message{"bounce-writer=ours.example@l.net", "", ""}},
		{"bulk.no-way-out", message{"x@l.net", "", "To unsubscribe, click here"}, message{"x@l.net", "List-Unsubscribe: <https://shop.com/u>\n", "To unsubscribe, click here"}},
		{"bulk.no-way-out", message{"x@l.net", "Content-Type: text/plain; charset=utf-8\n", "Zum Abmelden hier"}, message{"x@l.net", "", "subscribe now"}},
		{"bulk.auto-reply", message{"", "Auto-Submitted: auto-replied\n", ""}, message{"x@l.net", "Auto-Submitted: no\n", ""}},
		{"bulk.bounce", message{"", "Content-Type: multipart/report; boundary=b\n", "--b\n\nx\n--b--"}, message{"x@l.net", "Content-Type: multipart/mixed; boundary=b\n", "--b\n\nx\n--b--"}},
		{"bulk.bounce-odd", message{"", "", "buy"}, message{"", "Auto-Submitted: auto-replied\n", "away"}},
		{"bulk.bounce-odd", message{"", "", "buy"}, message{"x@l.net", "", "buy"}},
	} {
		if got := codes(t, letter(t, c.shows.from, c.shows.header, c.shows.body)); !slices.Contains(got, c.code) {
			t.Errorf("%s is not stated for %+v, but %v", c.code, c.shows, got)
		}
		if got := codes(t, letter(t, c.near.from, c.near.header, c.near.body)); slices.Contains(got, c.code) {
			t.Errorf("%s is stated for %+v, which only comes near", c.code, c.near)
		}
	}
}

func TestCodesAreDocumentedInBothLanguagesOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Codes() {
		if c.Meaning == "" || c.Chinese == "" || seen[c.Name] {
			t.Errorf("%s is documented badly or twice", c.Name)
		}
		seen[c.Name] = true
	}
}

func BenchmarkCheck(b *testing.B) {
	f, m := filter(b), letter(b, "x@l.net", "List-Unsubscribe: <https://shop.com/u>\n", strings.Repeat("Some words that nobody reads.\n", 200))
	m.Text()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Check(context.Background(), m); err != nil {
			b.Fatal(err)
		}
	}
}
