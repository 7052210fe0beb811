package smtp_test

import (
	"net/netip"
	"strings"
	"testing"

	"gatepost/gateway/smtp"
)

func TestANextHopsWordsAreToldAsFarAsTheyAreForStrangers(t *testing.T) {
	hops := []string{"mail1", "mx-in.example.com"}
	for text, want := range map[string]string{
		"no such user here": "no such user here",
		"over quota, see https://support.example.com/q?a=1":     "over quota, see https://support.example.com/q?a=1",
		"<bob@example.com>: refused by [192.0.2.7]":             "<bob@example.com>: refused by [192.0.2.7]",
		"refused at srv7.corp.local [10.1.2.3].":                "refused at (internal) [(internal)].",
		"from fd00::1, [IPv6:fe80::1] and 2001:db8::1":          "from (internal), [(internal)] and 2001:db8::1",
		"connect to mail1:25 and MX-IN.example.com: timed out":  "connect to (internal) and (internal): timed out",
		"100.64.0.1:10025 169.254.1.1 127.0.0.1 ::1 8.8.8.8:53": "(internal) (internal) (internal) (internal) 8.8.8.8:53",
		"mail2.example.com, email1 at 12:30":                    "mail2.example.com, email1 at 12:30",
		"two\r\nlines \x1b[31m\u00e4":                           "two??lines ?[31m?",
		"":                                                      "Refused by the mail server of the recipient",
	} {
		r := smtp.ReplyRelayed(smtp.Custom(554, "5.7.1", text), "01abc", hops)
		if want += "; reference 01abc"; r.Text != want || r.Code != 554 || r.Enhanced != "5.7.1" {
			t.Errorf("%q: %d %s %q, want %q", text, r.Code, r.Enhanced, r.Text, want)
		}
	}
	long := smtp.ReplyRelayed(smtp.Custom(452, "4.2.2", strings.Repeat("word ", 90)), "01m8pp9gafczh0e87m6nqxddf4", nil)
	if len(long.Text) > 200 || !strings.HasSuffix(long.Text, "word...; reference 01m8pp9gafczh0e87m6nqxddf4") || long.Code != 452 {
		t.Errorf("%d octets: %q", len(long.Text), long.Text)
	}
	if r := smtp.ReplyRelayed(&smtp.Reply{Code: 550, Enhanced: "4.4.4", Text: "x"}, "", nil); r.Text != "x" || r.Enhanced[0] != '5' {
		t.Errorf("%+v", r)
	}
}

func FuzzReplyRelayed(f *testing.F) {
	f.Add(554, "5.7.1", "refused at srv7.corp.local [10.1.2.3]: [IPv6:fe80::1]:25 \x00\xff")
	f.Add(250, "", strings.Repeat("10.0.0.1 ", 100))
	f.Fuzz(func(t *testing.T, code int, enhanced, text string) {
		r := smtp.ReplyRelayed(&smtp.Reply{Code: code, Enhanced: enhanced, Text: text}, "01m8pp9gafczh0e87m6nqxddf4", []string{"mail1"})
		if len(r.Text) > 200 || r.Text != smtp.Sanitize(r.Text) || !strings.HasSuffix(r.Text, "; reference 01m8pp9gafczh0e87m6nqxddf4") {
			t.Fatalf("%q", r.Text)
		}
		for word := range strings.FieldsSeq(r.Text) {
			if a, err := netip.ParseAddr(word); err == nil && (a.IsPrivate() || a.IsLoopback()) {
				t.Fatalf("%q tells of %s", r.Text, a)
			}
		}
	})
}
