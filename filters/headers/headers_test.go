package headers

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
)

var now = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// facts runs the filter over a message written with LF.
func facts(t *testing.T, text string) filters.Facts {
	t.Helper()
	src := bytes.NewReader([]byte(strings.ReplaceAll(text, "\n", "\r\n")))
	f, err := New(Config{}).Check(context.Background(), &mail.Mail{Envelope: &mail.Envelope{Time: now}, Message: mail.Parse(src)})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range f.Findings {
		if len(f.Proof) == 0 || f.Proof[0].What == "" || f.Text == "" {
			t.Errorf("%s has no proof or no text: %+v", f.Code, f)
		}
	}
	return f
}

func codes(f filters.Facts) []string {
	var list []string
	for _, x := range f.Findings {
		list = append(list, x.Code)
	}
	return list
}

const whole = "From: Ann <ann@a.example>\nTo: b@b.example\nSubject: Hello\nDate: Mon, 23 Nov 2026 08:59:00 +0000\nMessage-ID: <1@a.example>\n\nhello\n"

// Each code with a message that shows it, and one that comes near and must not.
func TestEachCodeIsStatedForItsReasonAndNotForOneThatComesNear(t *testing.T) {
	change := func(from, to string) string { return strings.Replace(whole, from, to, 1) }
	for _, c := range []struct{ code, shows, near string }{
		{"headers.several-authors", change("Ann <ann@a.example>", "ann@a.example, x@x.example"), change("Ann <ann", `"Ann, of A" <ann`)},
		{"headers.name-is-other-address", change("Ann <", `"ceo@bank.example" <`), change("Ann <", `"ann@mail.a.example" <`)},
		{"headers.hidden-characters", change("Hello", "Hel\u202elo"), change("Hello", "Hällo 你好")},
		{"headers.date-unreadable", change("Mon, 23 Nov 2026 08:59:00 +0000", "yesterday"), whole},
		{"headers.date-future", change("23 Nov 2026 08:59:00", "24 Nov 2026 09:00:01"), change("23 Nov 2026 08:59:00", "24 Nov 2026 08:59:59")},
		{"headers.date-old", change("23 Nov 2026", "23 Oct 2026"), change("23 Nov 2026", "25 Oct 2026")},
		{"headers.no-from", change("From:", "X-From:"), whole},
		{"headers.no-date", change("Date:", "X-Date:"), whole},
		{"headers.no-message-id", change("Message-ID:", "X-ID:"), whole},
		{"headers.no-subject", change("Subject:", "X-Subject:"), change("Hello", "")},
		{"headers.no-recipients", change("To:", "X-To:"), change("To:", "Cc:")},
		{"headers.recipients-undisclosed", change("b@b.example", "undisclosed-recipients:;"), change("b@b.example", "Team: b@b.example;")},
		{"headers.recipients-undisclosed", change("b@b.example", "<Undisclosed.Recipients@b.example>"), change("To: b@b.example", "To: team:;\nCc: b@b.example")},
		{"defect.header.name-space", change("Subject:", "Subject :"), whole},
	} {
		got := codes(facts(t, c.shows))
		if strings.HasPrefix(c.code, "defect.") {
			if !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "defect.") }) {
				t.Errorf("a malformed header states %v", got)
			}
		} else if !slices.Contains(got, c.code) {
			t.Errorf("%s is not stated, but %v", c.code, got)
		}
		if near := codes(facts(t, c.near)); slices.Contains(near, c.code) {
			t.Errorf("%s is stated for a message that only comes near", c.code)
		}
	}
	if got := codes(facts(t, whole)); len(got) != 0 {
		t.Errorf("an ordinary message: %v", got)
	}
}

func TestFactsAreDecodedAndCanonical(t *testing.T) {
	f := facts(t, "From: =?utf-8?q?B=C3=BCro?= <Info@M\u00fcller.EXAMPLE>\nTo: a@A.example, b@b.example\nReply-To: x@x.example\nSubject: =?utf-8?b?5L2g5aW9?=\nDate: Mon, 23 Nov 2026 08:59:00 +0000\nMessage-ID: <1@a.example>\nX-Mailer: one\nx-mailer: two\n\n").Message
	switch {
	case f.From != "info@xn--mller-kva.example" || f.FromDomain != "xn--mller-kva.example" || f.FromName != "Büro":
		t.Errorf("author %q %q %q", f.From, f.FromDomain, f.FromName)
	case f.Subject != "你好" || f.MessageID != "1@a.example" || f.Date != "2026-11-23T08:59:00Z":
		t.Errorf("subject %q, id %q, date %q", f.Subject, f.MessageID, f.Date)
	case !slices.Equal(f.To, []string{"a@a.example", "b@b.example"}) || !slices.Equal(f.ReplyTo, []string{"x@x.example"}):
		t.Errorf("to %v, reply to %v", f.To, f.ReplyTo)
	case !slices.Equal(f.Header.Values("x-mailer"), []string{"one", "two"}) || f.Header.Values("x") != nil:
		t.Errorf("header %v", f.Header)
	}
}

func TestEveryFindingIsDocumentedInBothLanguages(t *testing.T) {
	known := map[string]bool{}
	for _, c := range Codes() {
		if c.Meaning == "" || c.Chinese == "" || known[c.Name] {
			t.Errorf("%s is documented badly or twice", c.Name)
		}
		known[c.Name] = true
	}
	for _, f := range facts(t, "From : a@b, c@d\n\n").Findings {
		if !known[f.Code] {
			t.Errorf("%s is not documented", f.Code)
		}
	}
}
