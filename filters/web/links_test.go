package web

import (
	"strings"
	"testing"

	"gatepost/filters/mail"
)

// message is a message with an HTML body.
func message(html string) *mail.Message {
	return mail.Parse(mail.Memory([]byte("From: a@a.example\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + html + "\r\n")))
}

func TestLinksHaveTheirUseAndTheirDomain(t *testing.T) {
	list := Links(message(`<a href="HTTP://Shop.Example.co.uk:80/x#y">Shop</a> <img src="https://cdn.example.net/a.png"> <img src="cid:1@x">
<a href="mailto:a@b.example">write</a> <form action="https://forms.example.org/"></form> see www.example.info`))
	want := []struct {
		url, domain string
		use         Use
	}{
		{"http://shop.example.co.uk/x", "example.co.uk", Click}, {"https://cdn.example.net/a.png", "example.net", Load}, {"mailto:a@b.example", "", Click},
		{"https://forms.example.org/", "example.org", Click}, {"http://www.example.info/", "example.info", Click},
	}
	if len(list) != len(want) {
		t.Fatalf("%d links: %+v", len(list), list)
	}
	for i, w := range want {
		if l := list[i]; l.URL != w.url || l.Domain != w.domain || l.Use != w.use {
			t.Errorf("%s of %q, use %d; want %v", l.URL, l.Domain, l.Use, w)
		}
	}
}

func TestTheTargetInsideOfALinkIsFound(t *testing.T) {
	for in, want := range map[string]string{
		"https://www.google.com/url?q=http%3A%2F%2Fevil.example%2Fx&sa=D":                          "http://evil.example/x",
		"https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fshop.example%2F&data=1": "https://shop.example/",
		"https://urldefense.com/v3/__https://shop.example/a__;!!abc":                               "https://shop.example/a",
		"https://urldefense.proofpoint.com/v2/url?u=https-3A__shop.example_a-3Fb&d=x":              "https://shop.example/a?b",
		"https://www.google.com/amp/s/evil.example/login":                                          "https://evil.example/login",
		"https://t.example/click/https://evil.example/?a=b":                                        "https://evil.example/?a=b",
		"https://t.example/r?x=1&to=https%253A%252F%252Fevil.example":                              "https://evil.example/",
		"https://t.example/r?x=httpfoo12345":                                                       "",
		"https://t.example/r?u=http://localhost/":                                                  "",
		"mailto:a@b.example?body=http://evil.example/":                                             "",
	} {
		outer, _ := Parse(in)
		got, ok := Inner(&outer)
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("%s: %q, want %q", in, got.String(), want)
		}
	}
}

// H-09: targets inside of targets are followed twice and no deeper.
func TestNestedTargetsEnd(t *testing.T) {
	url := "http://a.example/?u=" + strings.Repeat("http://b.example/?u=", 50) + "http://c.example/"
	var r Reader
	if n := len(r.Read(url, "text", "")); n != 1+maxInner {
		t.Errorf("%d links", n)
	}
}

func TestTextThatReadsAsAnAddressIsOne(t *testing.T) {
	for in, want := range map[string]string{
		"www.bank.example": "www.bank.example", "https://bank.example/login": "bank.example", " <http://bank.com>. ": "bank.com", "bank.com/x": "bank.com",
		"Click here": "", "report.pdf": "", "a@bank.com": "", "version 1.2": "", "1.2.3.4": "", "e.g.": "", "": "", "Node.js": "",
	} {
		got, ok := Shown(in)
		if ok != (want != "") || got.Host != want {
			t.Errorf("%q: %q, want %q", in, got.Host, want)
		}
	}
}

func BenchmarkLinks(b *testing.B) {
	m := message(strings.Repeat(`<a href="https://click.example.com/track?u=12345678">www.example.com</a><img src="https://cdn.example.net/a.png">`, 20))
	m.Links()
	b.ReportAllocs()
	for b.Loop() {
		Links(m)
	}
}
