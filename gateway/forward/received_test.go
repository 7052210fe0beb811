package forward_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/forward"
)

var by = forward.By{Hostname: "gate.test", Instance: "k3"}

func envelope(t *testing.T, rcpts ...string) *mail.Envelope {
	e := &mail.Envelope{
		ID: "01ABC", Time: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC), Remote: netip.MustParseAddr("192.0.2.7"),
		RemoteName: "mail.a.test", Helo: "helo.a.test", ESMTP: true, TLS: mail.TLS{Version: "TLS 1.3", Cipher: "TLS_AES_128_GCM_SHA256"},
	}
	for _, r := range rcpts {
		e.Rcpts = append(e.Rcpts, address(t, r))
	}
	return e
}

func TestReceivedSaysWhoWhatAndWhen(t *testing.T) {
	const want = "Received: from helo.a.test (mail.a.test [192.0.2.7])\r\n" +
		"\t(using TLS 1.3 with cipher TLS_AES_128_GCM_SHA256)\r\n" +
		"\tby gate.test (Gatepost k3) with ESMTPS id 01ABC\r\n" +
		"\tfor <b@b.test>;\r\n" +
		"\tMon, 23 Nov 2026 09:00:00 +0000\r\n"
	if got := forward.Received(envelope(t, "b@b.test"), by); got != want {
		t.Errorf("%s", got)
	}
}

func TestReceivedNamesNoOneOfSeveralRecipients(t *testing.T) { // O-06
	if got := forward.Received(envelope(t, "b@b.test", "c@b.test"), by); strings.Contains(got, "for") {
		t.Error(got)
	}
}

func TestReceivedNamesTheProtocol(t *testing.T) { // RFC 3848, RFC 6531
	for want, e := range map[string]mail.Envelope{
		" with SMTP id ": {}, " with ESMTP id ": {ESMTP: true}, " with ESMTPS id ": {ESMTP: true, TLS: mail.TLS{Version: "TLS 1.2"}},
		" with UTF8SMTP id ": {ESMTP: true, SMTPUTF8: true}, " with UTF8SMTPS id ": {ESMTP: true, SMTPUTF8: true, TLS: mail.TLS{Version: "TLS 1.2"}},
	} {
		if got := forward.Received(&e, by); !strings.Contains(got, want) {
			t.Errorf("want %q in %s", want, got)
		}
	}
}

func TestAHELONameCannotBreakOutOfReceived(t *testing.T) {
	for helo, want := range map[string]string{
		"[192.0.2.9]":                     "from [192.0.2.9] (",
		"[IPv6:2001:db8::1]":              "from [IPv6:2001:db8::1] (",
		"x) by evil.test (":               "from [192.0.2.7] (",
		"x by gate.test (Gatepost k3)":    "from [192.0.2.7] (",
		"x\r\nSubject: y":                 "from [192.0.2.7] (",
		"":                                "from [192.0.2.7] (",
		strings.Repeat("x", 256):          "from [192.0.2.7] (",
		"under_score.test":                "from under_score.test (",
		"[half":                           "from [192.0.2.7] (",
		"xn--bcher-kva.test":              "from xn--bcher-kva.test (",
		"x;y":                             "from [192.0.2.7] (",
		"\u202egate":                      "from [192.0.2.7] (",
		"[]":                              "from [192.0.2.7] (",
		"2001:db8::1":                     "from [192.0.2.7] (",
		"a.test (mail.bank.test [1.2.3])": "from [192.0.2.7] (",
	} {
		e := envelope(t, "b@b.test")
		e.Helo, e.RemoteName = helo, helo
		got := forward.Received(e, by)
		if !strings.HasPrefix(got, "Received: "+want) || strings.Count(got, "\r\n") != 5 {
			t.Errorf("%q: %s", helo, got)
		}
		for _, line := range strings.Split(got, "\r\n") {
			if len(line) > 998 {
				t.Errorf("%q: line of %d bytes", helo, len(line))
			}
		}
	}
}

func TestLoopsEnd(t *testing.T) { // J-01, J-02, P-30
	header := func(n, ours int) (h []mail.Field) {
		for range n {
			h = append(h, mail.Field{Name: "received", Value: " from x by y"})
		}
		_, own, _ := strings.Cut(forward.Received(envelope(t), by), ":")
		for range ours {
			h = append(h, mail.Field{Name: "Received", Value: own})
		}
		return append(h, mail.Field{Name: "Subject", Value: " by gate.test (Gatepost k3)"})
	}
	for _, c := range []struct {
		n, ours int
		loop    bool
	}{{0, 0, false}, {49, 0, false}, {50, 0, true}, {0, 1, false}, {48, 1, false}, {49, 1, true}, {0, 2, true}} {
		r := forward.Loop(header(c.n, c.ours), by, 50)
		if (r != nil) != c.loop || r != nil && r.Code != 554 {
			t.Errorf("%d and %d of ours: %v", c.n, c.ours, r)
		}
	}
	if _, ours := forward.Passes(header(0, 1), forward.By{Hostname: "gate.test", Instance: "other"}); ours != 0 {
		t.Error("another gateway of this name was taken for us")
	}
}

func TestAGatewayWithoutAnInstanceSignsWithItsNameAlone(t *testing.T) {
	alone := forward.By{Hostname: "gate.test"}
	if got := forward.Received(&mail.Envelope{ID: "01ABC"}, alone); !strings.Contains(got, "by gate.test (Gatepost) with") {
		t.Errorf("%q", got)
	}
}
