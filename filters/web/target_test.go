package web

import (
	"strings"
	"testing"
)

func TestEverySpellingOfALinkBecomesOne(t *testing.T) {
	for in, want := range map[string]string{
		"HTTP://Example.COM":                          "http://example.com/",
		"http://example.com:80/a#top":                 "http://example.com/a",
		"https://example.com:443":                     "https://example.com/",
		"https://example.com:8443/":                   "https://example.com:8443/",
		"http:\\\\example.com\\a\\b":                  "http://example.com/a/b",
		"http:example.com/a":                          "http://example.com/a",
		"http:///////example.com":                     "http://example.com/",
		" ht\ttp://exam\nple.com/ ":                   "http://example.com/",
		"http://example.com./":                        "http://example.com/",
		"http://b%C3%BCcher.example/":                 "http://xn--bcher-kva.example/",
		"http://bücher.example/ü?ö=ä":                 "http://xn--bcher-kva.example/%C3%BC?%C3%B6=%C3%A4",
		"http://ＥＸＡＭＰＬＥ．com/":                         "http://example.com/",
		"http://ex\u00adample\u200b.com/":             "http://example.com/",
		"http://%65xample.com/%7euser/%2e%2e/%2fa%3a": "http://example.com/%2Fa%3A",
		"http://a.example/b/../c/./d/..":              "http://a.example/c/",
		"http://user:pw@evil.example/":                "http://evil.example/",
		"http://www.bank.example@evil.example":        "http://evil.example/",
		"http://3232235777/":                          "http://192.168.1.1/",
		"http://0xC0.0250.1.0x1/":                     "http://192.168.1.1/",
		"http://0300.0250.257/x":                      "http://192.168.1.1/x",
		"http://0x7f.1":                               "http://127.0.0.1/",
		"http://[2001:DB8::1]:8080/":                  "http://[2001:db8::1]:8080/",
		"http://example.com?x":                        "http://example.com/?x",
		"mailto:a@b.example":                          "mailto:a@b.example",
		"javascript:alert(1)":                         "javascript:alert(1)",
		"file://server/share/x":                       "file://server/share/x",
		"http://a.example/100%":                       "http://a.example/100%",
	} {
		got, ok := Parse(in)
		if !ok || got.String() != want {
			t.Errorf("%q: %q, want %q", in, got.String(), want)
		}
	}
	for _, in := range []string{"", "example.com", "//example.com", ":x", "1http://x"} {
		if got, ok := Parse(in); ok {
			t.Errorf("%q was read as %q", in, got.String())
		}
	}
}

func TestWhatIsOddIsTold(t *testing.T) {
	for in, want := range map[string]Oddity{
		"http://example.com/@a": 0, "http://a@example.com/": UserInfo, "http://192.0.2.1/": 0, "http://3221225985/": Notation, "http://0300.0.2.1/": Notation,
		"http://ex%61mple.com/": EscapedURL, `http:\\example.com/`: Backslash, "http://256.1.1.1/": BadHost, "http://1.2.3.4.5/": BadHost, "http:///": BlankHost,
		"http://ｅxample.com/": Wide, "http://bücher.example/": 0, "http://a b.example/": BadHost, "http://[::1/": BadHost, "http://[1.2.3.4]/": BadHost,
	} {
		got, ok := Parse(in)
		if !ok || got.Odd != want {
			t.Errorf("%q: %b, want %b (host %q)", in, got.Odd, want, got.Host)
		}
	}
}

// H-09: one URL costs at most what its first 2 KiB cost.
func TestALongURLIsCut(t *testing.T) {
	long := "http://example.com/" + strings.Repeat("ü/../", 1<<20)
	got, ok := Parse(long)
	if !ok || len(got.String()) > 3*maxTarget {
		t.Errorf("%d octets", len(got.String()))
	}
	if n := testing.AllocsPerRun(10, func() { Parse(long) }); n > 40 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"http://example.com:80/a/../b?c#d", "http://0x7f.1", "HTTP:\\\\a@b%2e\xff", "http://[::1]:1", "data:text/html,x", "http://xn--a/", "https://ü.example/%zz"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, ok := Parse(s)
		if !ok {
			return
		}
		once := a.String()
		if len(once) > 4*maxTarget {
			t.Errorf("%d octets", len(once))
		}
		a.Domain()
		a.Readable()
		if !a.Web() || a.Odd&(BadHost|BlankHost) != 0 {
			return
		}
		if strings.ContainsAny(once, " \t\r\n\"<>") {
			t.Errorf("%q holds what no URL holds: %q", s, once)
		}
		b, ok := Parse(once)
		if len(once) <= maxTarget && (!ok || b.String() != once) {
			t.Errorf("%q becomes %q, and that %q", s, once, b.String())
		}
	})
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Parse("https://click.newsletter.example.com/track/click/30123/www.example.org?p=eyJzIjoiX0&x=1#frag")
	}
}
