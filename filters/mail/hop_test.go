package mail

import (
	"strings"
	"testing"
	"time"
)

// The fields are as Postfix, Exim, qmail, Sendmail, Exchange, Gmail and OpenSMTPD write them. A name of - is one that the
// server says the client does not have.
func TestReceivedFieldsNameTheClient(t *testing.T) {
	for _, c := range []struct{ value, addr, helo, name, by string }{
		{" from mail.a.example (host.a.example [198.51.100.7])\r\n\tby mx2.b.example (Postfix) with ESMTPS id 1; Mon, 23 Nov 2026 09:00:00 +0000", "198.51.100.7", "mail.a.example", "host.a.example", "mx2.b.example"},
		{" from [6.6.6.6] (unknown [198.51.100.7]) by mx2.b.example", "198.51.100.7", "[6.6.6.6]", "-", "mx2.b.example"},
		{" from host.a.example ([198.51.100.7] helo=mail.a.example)\r\n by mx2.b.example with esmtp", "198.51.100.7", "mail.a.example", "host.a.example", "mx2.b.example"},
		{" from [198.51.100.7] (helo=[6.6.6.6]) by mx2.b.example with esmtp", "198.51.100.7", "[6.6.6.6]", "", "mx2.b.example"},
		{" from [198.51.100.7] (port=25 helo=mail.a.example) by mx2.b.example", "198.51.100.7", "mail.a.example", "", "mx2.b.example"},
		{" from unknown (HELO mail.a.example) (198.51.100.7) by mx2.b.example with SMTP", "198.51.100.7", "mail.a.example", "-", "mx2.b.example"},
		{" from host.a.example (HELO mail.a.example) (198.51.100.7)\r\n  by mx2.b.example with SMTP; 23 Nov 2026 09:00:00 -0000", "198.51.100.7", "mail.a.example", "host.a.example", "mx2.b.example"},
		{" from unknown (HELO 6.6.6.6) (user@198.51.100.9) by mx2.b.example with SMTP", "", "6.6.6.6", "-", "mx2.b.example"},
		{" from mail.a.example (198.51.100.7) by mx2.b.example (10.0.0.1) with Microsoft SMTP", "198.51.100.7", "mail.a.example", "", "mx2.b.example"},
		{" from mail.a.example (mail.a.example. [2001:db8::7]) by mx.b.example with ESMTPS", "2001:db8::7", "mail.a.example", "mail.a.example", "mx.b.example"},
		{" from mail.a.example (host [IPv6:2001:db8::7]) by mx.b.example", "2001:db8::7", "mail.a.example", "", "mx.b.example"},
		{" from mail.a.example (host [::ffff:198.51.100.7]) by mx.b.example", "198.51.100.7", "mail.a.example", "", "mx.b.example"},
		{" from mail.a.example (user@Host.A.example [198.51.100.7] (may be forged)) by mx.b.example", "198.51.100.7", "mail.a.example", "host.a.example", "mx.b.example"},
		{" FROM mail.a.example (host.a.example [198.51.100.7]:4711) BY mx2.b.example", "198.51.100.7", "mail.a.example", "host.a.example", "mx2.b.example"},
		{" from mail.a.example by mx2.b.example ([198.51.100.7])", "", "mail.a.example", "", "mx2.b.example"},
		{" from mail.a.example (no address) by mx2.b.example", "", "mail.a.example", "", "mx2.b.example"},
		{" from mail.a.example (open [198.51.100.7] by mx2.b.example", "", "mail.a.example", "", ""},
	} {
		h, ok := ReadHop(Field{Name: "Received", Value: c.value})
		addr, name := "", h.Name
		if h.Addr.IsValid() {
			addr = h.Addr.String()
		}
		if h.Unnamed {
			name += "-"
		}
		if !ok || addr != c.addr || h.Helo != c.helo || name != c.name || h.By != c.by {
			t.Errorf("%q: got %v, %q %q %q %q", c.value, ok, addr, h.Helo, name, h.By)
		}
	}
	for _, value := range []string{"", " by mx2.b.example (from [198.51.100.7])", " (qmail 1 invoked by uid 89); 23 Nov 2026 09:00:00 -0000"} {
		if h, ok := ReadHop(Field{Name: "Received", Value: value}); ok {
			t.Errorf("%q names a client: %+v", value, h)
		}
	}
}

// Clauses are found outside of comments only.
func TestReceivedFieldsNameProtocolAndRecipient(t *testing.T) {
	for value, want := range map[string]string{
		" from a ([192.0.2.1]) by b.example (Postfix) with ESMTPSA id 1 for <x@b.example>; Mon, 23 Nov 2026 09:00:00 +0000": "b.example ESMTPSA x@b.example",
		" from a ([192.0.2.1]) by b.example (with a comment (for y)) for x@b.example;":                                      "b.example  x@b.example",
		" from a ([192.0.2.1]) (using TLS with cipher X) by b.example with":                                                 "b.example  ",
		" from a ([192.0.2.1]) bye b.example":                                                                               "  ",
	} {
		h, _ := ReadHop(Field{Value: value})
		if got := h.By + " " + h.With + " " + h.For; got != want {
			t.Errorf("%q: %q", value, got)
		}
	}
}

// The time stands behind the last semicolon, in the forms that servers write.
func TestReceivedFieldsTellTheTime(t *testing.T) {
	want := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	for date, ok := range map[string]bool{
		"Mon, 23 Nov 2026 10:00:00 +0100 (CET)": true, "23 Nov 2026 09:00:00 -0000": true, "Mon, 23 Nov 2026 04:00:00 -0500": true, "yesterday": false, "": false,
	} {
		h, _ := ReadHop(Field{Value: " from a.example ([192.0.2.1]) by b.example (x; y) id 7; " + date})
		if ok != h.Time.Equal(want) || !ok && !h.Time.IsZero() {
			t.Errorf("%q: %v", date, h.Time)
		}
	}
}

// A header of nothing but Received fields costs no more than fifty of them.
func TestHopsAreBounded(t *testing.T) {
	m := Parse(Memory([]byte(strings.Repeat("Received: from a ([192.0.2.1]) by b; Mon, 23 Nov 2026 09:00:00 +0000\r\n", 200) + "From: a@a.example\r\n\r\n")))
	if n := len(m.Hops()); n != maxHops {
		t.Errorf("%d hops", n)
	}
}

func FuzzReadHop(f *testing.F) {
	f.Add(" from a (b [192.0.2.1]) by c; Mon, 23 Nov 2026 09:00:00 +0000")
	f.Add(" from a (HELO x) (192.0.2.1) by c")
	f.Add(" from [IPv6:2001:db8::1] (((helo=x) by c")
	f.Fuzz(func(t *testing.T, value string) {
		h, ok := ReadHop(Field{Value: value})
		if h.Addr.Is4In6() || h.Unnamed && h.Name != "" {
			t.Errorf("%+v", h)
		}
		if !ok && (h.Addr.IsValid() || h.Name != "") || ok && !strings.Contains(strings.ToLower(value), "from") {
			t.Errorf("a client without a from clause: %+v", h)
		}
		if len(h.Helo)+len(h.Name)+len(h.By) > 3*maxHop {
			t.Error("unbounded")
		}
	})
}
