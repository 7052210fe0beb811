package route

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// A way is how a message came.
type way struct {
	name, helo string // of the client; 203.0.113.77 if nothing else is said
	ip         string
	trusted    bool
	header     string
}

func codes(t testing.TB, w way) []string {
	t.Helper()
	if w.ip == "" {
		w.ip = "203.0.113.77"
	}
	if w.helo == "" {
		w.helo = "mail.a.example"
	}
	if !strings.Contains(w.header, "From:") {
		w.header = "From: Ann <ann@shop.com>\n" + w.header
	}
	env := &mail.Envelope{Remote: netip.MustParseAddr(w.ip), RemoteName: w.name, Helo: w.helo, Trusted: w.trusted}
	text := strings.ReplaceAll(w.header+"\nhello\n", "\n", "\r\n")
	facts, err := New(Config{}).Check(context.Background(), &mail.Mail{Envelope: env, Message: mail.Parse(mail.Memory(text))})
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

// received is a Received field of mx.relay.net.
func received(from, more string) string {
	return "Received: from " + from + " by mx.relay.net " + more + "; Mon, 23 Nov 2026 09:00:00 +0000\n"
}

// Each code with a message that shows it, and one that comes near and must not.
func TestEachCodeIsStatedForItsReasonAndNotForOneThatComesNear(t *testing.T) {
	const pool = "freesource (user-203-0-113-9.knology.net [203.0.113.9])"
	for _, c := range []struct {
		code        string
		shows, near way
	}{
		{"route.client-dynamic", way{name: "cpe-203-0-113-77.isp.net"}, way{name: "static-203-0-113-77.isp.net"}},
		{"route.client-dynamic", way{name: "cb00714d.dip.isp.net"}, way{name: "mail77.isp.net"}},
		{"route.client-dynamic", way{name: "ppp12.pool.isp.net"}, way{name: "cpe-203-0-113-77.isp.net", trusted: true}},
		{"route.client-dynamic", way{ip: "2001:db8::1:2:3:4", name: "2001-db8-0-0-0001-0002-0003-0004.isp.net"}, way{ip: "2001:db8::1:2:3:4", name: "mta4.isp.net"}},
		{"route.client-helo-address", way{helo: "203.0.113.77"}, way{helo: "[203.0.113.77]"}},
		{"route.client-helo-address", way{helo: "[192.0.2.1]"}, way{helo: "[IPv6:2001:db8::1]", ip: "2001:db8::1"}},
		{"route.client-helo-unqualified", way{helo: "localhost"}, way{helo: "mail.a.example."}},
		{"route.client-helo-provider", way{helo: "mail.gmail.com", name: "vps7.isp.net"}, way{helo: "mail-wr1-f52.google.com", name: "mail-wr1-f52.google.com"}},
		{"route.client-helo-provider", way{helo: "mta5.yahoo.com", name: "vps7.isp.net"}, way{helo: "mta5.yahoo.com"}}, // the DNS may have failed
		{"route.dynamic", way{header: received(pool, "with ESMTP")}, way{header: received(pool, "with ESMTPSA")}},
		{"route.dynamic", way{header: received(pool, "with SMTP")}, way{header: "From: a@relay.net\n" + received(pool, "with SMTP")}},
		{"route.dynamic", way{header: received(pool, "with SMTP")}, way{header: "In-Reply-To: <1@a.example>\n" + received(pool, "with SMTP")}},
		{"route.dynamic", way{header: received(pool, "with SMTP")}, way{header: received("x (user-203-0-113-9.relay.net [203.0.113.9])", "with SMTP")}},
		{"route.helo-address", way{header: received("198.51.100.7 (host.isp.net [203.0.113.9])", "with SMTP")}, way{header: received("[203.0.113.9] (host.isp.net [203.0.113.9])", "with SMTP")}},
		{"route.helo-provider", way{header: received("mx1.mail.yahoo.com (host.isp.net [203.0.113.9])", "with SMTP")}, way{header: received("mx1.mail.yahoo.com (sonic.gate.mail.ne1.yahoo.com [203.0.113.9])", "with SMTP")}},
		{"route.date-ahead", way{header: received("a.example ([203.0.113.9])", "") + "Date: Mon, 23 Nov 2026 14:00:01 +0000\n"}, way{header: received("a.example ([203.0.113.9])", "") + "Date: Mon, 23 Nov 2026 14:00:00 +0000\n"}},
		{"route.date-ahead", way{header: received("a.example ([203.0.113.9])", "") + "Date: Mon, 23 Nov 2026 09:00:01 -0500\n"}, way{header: "Date: Mon, 23 Nov 2026 09:00:01 -0500\n"}},
		{"route.date-behind", way{header: received("a.example ([203.0.113.9])", "") + "Date: Thu, 19 Nov 2026 08:59:59 +0000\n"}, way{header: received("a.example ([203.0.113.9])", "") + "Date: Thu, 19 Nov 2026 09:00:00 +0000\n"}},
		{"route.date-no-zone", way{header: "Date: Mon, 23 Nov 2026 09:00:00\n"}, way{header: "Date: Mon, 23 Nov 2026 09:00:00 GMT\n"}},
		{"route.date-no-zone", way{header: "Date: Mon Nov 23 09:00:00 2026\n"}, way{header: "Date: Mon, 23 Nov 2026 09:00:00 +0000 (UTC)\n"}},
	} {
		if got := codes(t, c.shows); !slices.Contains(got, c.code) {
			t.Errorf("%s is not stated for %+v: %v", c.code, c.shows, got)
		}
		if got := codes(t, c.near); slices.Contains(got, c.code) {
			t.Errorf("%s is stated for %+v", c.code, c.near)
		}
	}
}

// One server whose clock is wrong proves nothing: the later of the two oldest times counts.
func TestOneWrongClockIsNotTheAuthors(t *testing.T) {
	header := "Received: from b.example ([203.0.113.8]) by mx.c.example; Mon, 23 Nov 2026 09:00:10 +0000\n" +
		"Received: from a.example ([203.0.113.9]) by b.example; Mon, 23 Nov 2026 01:00:00 +0000\n" +
		"Date: Mon, 23 Nov 2026 09:00:00 +0000\n"
	if got := codes(t, way{header: header}); len(got) > 0 {
		t.Errorf("%v", got)
	}
}

// Ordinary mail of today goes through without a word.
func TestHonestMailIsNotSpokenOf(t *testing.T) {
	for _, w := range []way{
		{name: "mail-wr1-f52.google.com", helo: "mail-wr1-f52.google.com", header: "Received: by mail-wr1-f52.google.com with SMTP id x; Mon, 23 Nov 2026 01:00:00 -0800 (PST)\nDate: Mon, 23 Nov 2026 09:00:00 +0000\n"},
		{name: "mail.a.example", header: "Received: from smtpclient.apple (cpe-198-51-100-7.isp.net. [198.51.100.7])\n by mail.a.example with ESMTPSA id 1; Mon, 23 Nov 2026 09:00:00 +0000\nDate: Mon, 23 Nov 2026 10:00:00 +0100\n"},
		{name: "a8-29.smtp-out.amazonses.com", helo: "a8-29.smtp-out.amazonses.com", header: "Date: Mon, 23 Nov 2026 09:00:00 +0000\n"},
		{header: "Received: from [192.168.1.2] ([192.168.1.2]) by desk.a.example; Mon, 23 Nov 2026 09:00:00 +0000\nDate: Mon, 23 Nov 2026 09:00:00 +0000\n"},
		{ip: "10.0.0.7", helo: "printer"},
	} {
		if got := codes(t, w); len(got) > 0 {
			t.Errorf("%v for %+v", got, w)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	text := strings.ReplaceAll("From: Ann <ann@shop.com>\nDate: Mon, 23 Nov 2026 09:00:00 +0000\n"+strings.Repeat(received("freesource (user-203-0-113-9.knology.net [203.0.113.9])", "with ESMTPSA id 1"), 6)+"\nhello\n", "\n", "\r\n")
	m := &mail.Mail{Envelope: &mail.Envelope{Remote: netip.MustParseAddr("203.0.113.77"), RemoteName: "mail.a.example", Helo: "mail.a.example"}, Message: mail.Parse(mail.Memory(text))}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := New(Config{}).Check(context.Background(), m); err != nil {
			b.Fatal(err)
		}
	}
}
