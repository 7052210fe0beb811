package admin

import (
	"encoding/csv"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// N-02: hostile HTML in subject, sender, file names and reasons is text on every page, in every language.
func TestHostileHeadersAreTextEverywhere(t *testing.T) {
	b := newBench(t)
	ada := b.as("ada")
	b.house.records[0].Actor, b.house.records[0].Note = evil, evil
	for _, rt := range routeTable() {
		if rt.method != get || rt.pattern == "/static/{file}" {
			continue
		}
		for _, lang := range []string{"en", "zh"} {
			w := b.do(ada, get, b.fill(rt.pattern, "m5")+"?since="+url.QueryEscape(evil)+"&until="+url.QueryEscape(evil)+"&q="+url.QueryEscape(evil), nil, func(r *http.Request) {
				r.Header.Set("Accept-Language", lang)
			})
			ct := w.Header().Get("Content-Type")
			if strings.HasPrefix(ct, "text/html") && (strings.Contains(w.Body.String(), "<img src=x") || strings.Contains(w.Body.String(), "<script>alert")) {
				t.Errorf("%s in %s carries live HTML", rt.pattern, lang)
			}
		}
	}
}

// N-12: no cell of the export is taken for a formula.
func TestExportDefusesFormulas(t *testing.T) {
	b := newBench(t)
	for i, s := range []string{`=HYPERLINK("http://evil")`, "+cmd", "@x", "-1", "\t=1", "  =1"} {
		b.house.put("f"+string(rune('0'+i)), s, "spam", "alice@example.com")
	}
	w := b.do(b.as("ada"), get, "/quarantine.csv?state=", nil)
	rows, err := csv.NewReader(w.Body).ReadAll()
	if err != nil || len(rows) < 10 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, row := range rows[1:] {
		for _, cell := range row {
			if s := strings.TrimLeft(cell, " "); s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
				t.Errorf("cell %q", cell)
			}
		}
	}
}

var alive = regexp.MustCompile(`(?i)<(script|iframe|object|embed|base|meta|form|link|svg|math|style|input|video|template|select|noscript|audio|body|html)|<[^>]*\son[a-z]+\s*=|javascript:|srcset|url\(|@import|position|http|data:text|data:image/svg|href`)

// N-01, N-03, N-04, N-05, N-06: nothing that acts, loads, leads away or covers survives.
func TestPreviewKeepsNothingThatActs(t *testing.T) {
	p := sanitizer()
	for _, in := range []string{
		`<script>alert(1)</script>`, `<img src=x onerror=alert(1)>`, `<svg onload=alert(1)>`, `<a href=javascript:alert(1)>x</a>`,
		`<iframe srcdoc="<script>alert(1)</script>">`, `<object data=x>`, `<embed src=x>`, `<base href=//evil>`,
		`<meta http-equiv=refresh content="0;url=//evil">`, `<form action=//evil><input type=image src=//evil></form>`, `<link rel=stylesheet href=//evil>`,
		`<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>`, `<noscript><p title="</noscript><img src=x onerror=alert(1)>">`,
		`<template><script>alert(1)</script></template>`, `<select><style></select><img src=x onerror=alert(1)></style>`,
		`<img src="http://track.example/p.gif">`, `<div style="background:url(http://evil)">x</div>`, `<style>@import "http://evil"</style>`,
		`<svg><feImage href="http://evil"/></svg>`, `<video poster="http://evil">`, `<img srcset="http://evil 2x">`, `<table background="http://evil">`,
		`<div style="position:fixed;top:0;width:1000000px">x</div>`, `<div style="animation:x 1s">x</div>`, `<img src="cid:x">`,
		`<img src="data:text/html;base64,PHNjcmlwdD4=">`, `<img src="data:image/svg+xml;base64,PHN2Zz4=">`, `<p style="color:expression(alert(1))">x</p>`,
		`<İmg src=x onerror=alert(1)>`, `<p STYLE="color: red; background-image: url('http://evil')">x</p>`, `<a href="https://good@evil/">x</a>`,
	} {
		if out := p.Sanitize(in); alive.MatchString(out) {
			t.Errorf("%s\nbecame %s", in, out)
		}
	}
	if out := p.Sanitize(`<b>a</b><img src="data:image/png;base64,iVBORw0KGgo=">`); !strings.Contains(out, "<b>a</b>") || !strings.Contains(out, "data:image/png") {
		t.Errorf("harmless HTML became %q", out)
	}
}

// N-07, N-08: the frame and the download say what they are, and the preview ends at its bound.
func TestPreviewAndDownloadCarryTheirOwnPolicy(t *testing.T) {
	b := newBench(t)
	ada := b.as("ada")
	b.house.html = strings.Repeat("<p>x", 8<<20/4)
	w := b.do(ada, get, "/quarantine/m1/html", nil)
	if got := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(got, "sandbox; default-src 'none'") {
		t.Errorf("frame policy %q", got)
	}
	if w.Body.Len() > 3*previewLimit || !strings.Contains(w.Body.String(), "only the beginning") {
		t.Errorf("%d bytes of preview", w.Body.Len())
	}
	w = b.do(ada, get, "/quarantine/m5/raw", nil)
	for k, want := range map[string]string{"Content-Type": "application/octet-stream", "X-Content-Type-Options": "nosniff",
		"Content-Disposition": `attachment; filename="message-m5.eml"`, "Content-Security-Policy": rawPolicy} {
		if got := w.Header().Get(k); got != want {
			t.Errorf("download has %s: %s", k, got)
		}
	}
	if w.Body.String() != b.house.raw["m5"] {
		t.Error("the download is not the message as it was received")
	}
}

// N-10, N-11: what a reader would not see is shown, and of a link the host that counts stands out.
func TestTextPreviewShowsTheHidden(t *testing.T) {
	pieces := textPieces("a\u202eb\x1b[31m https://bank.example@evil.example:8443/x?y c\u200b\r\n> quoted\r\n" + strings.Repeat("x", 1<<20))
	var host, escapes string
	total := 0
	for _, p := range pieces {
		total += len(p.Text)
		switch p.Kind {
		case "host":
			host += p.Text
		case "escape":
			escapes += p.Text + " "
		}
	}
	if host != "evil.example" || escapes != `U+202E \x1B U+200B ` {
		t.Errorf("host %q, escapes %q", host, escapes)
	}
	if total > 4*lineLimit {
		t.Errorf("%d bytes shown of an endless line", total)
	}
}

func FuzzTextPieces(f *testing.F) {
	f.Add("a\u202eb\x1b[31m https://good@evil.example/ \r\n> x")
	f.Add("http://[::1]:80/\xff\xfe")
	f.Fuzz(func(t *testing.T, s string) {
		for _, p := range textPieces(s) {
			for _, r := range p.Text {
				if r != '\n' && r != '\t' && unicode.IsControl(r) || r >= 0x202A && r <= 0x202E {
					t.Fatalf("piece %q of %q", p.Text, s)
				}
			}
		}
	})
}

func FuzzSanitizer(f *testing.F) {
	f.Add(`<select><style></select><img src=x onerror=alert(1)></style>`)
	p := sanitizer()
	active := regexp.MustCompile(`(?i)<(script|iframe|object|embed|base|meta|form|link|svg|math|style)[\s/>]|<[a-z][^>]*\shref=`)
	f.Fuzz(func(t *testing.T, s string) {
		if out := p.Sanitize(s); active.MatchString(out) {
			t.Fatalf("%q became %q", s, out)
		}
	})
}

func FuzzPasswordHash(f *testing.F) {
	f.Add("$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$" + strings.Repeat("A", 43))
	f.Fuzz(func(t *testing.T, hash string) {
		if strings.Contains(hash, "m=64,t=1,p=1") || !strings.Contains(hash, "m=") {
			matches(hash, "x")
		}
	})
}

// A user sees nothing that only administrators understand, and the id that an administrator asks for stands where it is asked
// for.
func TestAUserIsToldOnlyWhatConcernsUsers(t *testing.T) {
	b := newBench(t)
	alice := b.as("alice")
	for path, words := range map[string]string{"/lists": "entries.yaml", "/account": "admin.base_url"} {
		if page := b.do(alice, get, path, nil).Body.String(); strings.Contains(page, words) {
			t.Errorf("%s says %s to a user", path, words)
		}
		if page := b.do(b.as("ada"), get, path, nil).Body.String(); !strings.Contains(page, words) {
			t.Errorf("%s does not say %s to an administrator", path, words)
		}
	}
	if page := b.do(alice, get, "/quarantine/m4", nil).Body.String(); !strings.Contains(page, "Give them this id: <code>m4</code>") {
		t.Error("a user is not told which id to give to an administrator")
	}
}

// N-11: an address that is made long so that its end is not seen shows its end all the same, on every page that lists,
// asks or decides, and in digests.
func TestTheEndOfALongAddressIsShown(t *testing.T) {
	const long = "security@yourbank.example.login-session-0123456789-0123456789-0123456789-0123456789-0123456789.evil-host.example"
	for in, want := range map[string]string{"a@b.example": "a@b.example", long: "security@yourba…789-0123456789.evil-host.example", strings.Repeat("盒", 60): strings.Repeat("盒", 15) + "…" + strings.Repeat("盒", 32)} {
		if got := elide(in, 48); got != want {
			t.Errorf("%q is shown as %q", in, got)
		}
	}
	if got := shortAddress(long); !strings.HasSuffix(got, ".evil-host.example") || !strings.HasPrefix(got, "security@") || len(got) > 90 {
		t.Errorf("a digest shows %q", got)
	}
	b := newBench(t)
	b.house.put("long", "hello", "spam", "alice@example.com")
	for i := range b.house.entries {
		if e := &b.house.entries[i]; e.ID == "long" {
			e.Author, e.MailFrom = long, long
		}
	}
	for _, path := range []string{"/quarantine", "/quarantine/long", "/quarantine/long/release", "/quarantine/long/delete", "/quarantine/long/sender?verb=allow", "/quarantine/long/sender?verb=deny"} {
		page := b.do(b.as("ada"), get, path, nil).Body.String()
		if shown, cut := strings.Count(page, ".evil-host.example"), strings.Count(page, "login-session-…"); shown == 0 || cut > 0 {
			t.Errorf("%s shows its end %d times, and cuts it off %d times", path, shown, cut)
		}
	}
}
