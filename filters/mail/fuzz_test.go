package mail

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// seed adds messages of the suites, if they are there, and the hostile shapes in small.
func seed(f *testing.F) {
	for _, c := range hostileShapes {
		f.Add([]byte(wire("From: a@b.example\n" + c.shape(8))))
	}
	f.Add([]byte(wire("From: a@b.example\n" + multi("boundary=a; boundary*=utf-8''b") + part("a") + part("b") + "--b--\n--a--\n")))
	f.Add([]byte(wire("Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nRnJvbTogYQo=\n")))
	f.Add([]byte(wire("From: a\nContent-Type: application/ms-tnef\n\n\x78\x9f\x3e\x22\x01\x00\x01")))
}

// frugal runs parse and reports whether it allocates out of proportion to size.
func frugal(t *testing.T, size int, parse func()) {
	if n := allocated(parse); n > uint64(64*size)+16<<20 {
		t.Errorf("%d octets allocate %d", size, n)
	}
}

// FuzzHeader: any bytes are a header, fields do not overlap, and nothing is lost between them.
func FuzzHeader(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		var d defects
		s := &space{data: data, size: int64(len(data))}
		h, err := readHeader(s, Span{0, s.size}, &d, ofMessage)
		if err != nil {
			t.Fatal(err)
		}
		if err := plainIsAlike(data); err != nil {
			t.Fatal(err)
		}
		var at int64
		for _, x := range h.fields {
			if x.Span.Start < at || x.Span.End > h.span.End || !isFieldName(x.Name) || !bytes.HasPrefix(data[x.Span.Start:], []byte(x.Name)) {
				t.Fatalf("field %+v after %d", x, at)
			}
			if x.Span.Start > at && len(d.list) == 0 {
				t.Fatalf("a gap at %d without a defect", at)
			}
			at = x.Span.End
			Unfold(x.Value)
		}
		if h.body < at || h.body > s.size || h.span.End != h.body {
			t.Fatalf("body at %d, fields end at %d", h.body, at)
		}
	})
}

// FuzzMIME: any bytes are a message, within bounds.
func FuzzMIME(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		frugal(t, len(data), func() { Parse(Memory(data)) })
		if err := invariants(Parse(Memory(data)), data); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzAddress: what ParseAddress accepts can be written on a line of SMTP and reads back as itself.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{"a@b.example", `"a\"b"@c.example`, "a@[IPv6:::1]", "jörg@bücher.example", "a@b.example."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err != nil {
			if a != (Address{}) {
				t.Fatal("an error with an address")
			}
			return
		}
		if a.String() != s || len(s) > 254 || strings.ContainsAny(s, "\r\n\x00<>") && !strings.HasPrefix(s, `"`) || strings.ContainsAny(s, "\r\n\x00") || !utf8.ValidString(s) {
			t.Fatalf("%q was accepted", s)
		}
		c, err := ParseAddress(a.Canonical())
		if len(a.Canonical()) <= 254 && (err != nil || c.Canonical() != a.Canonical()) {
			t.Fatalf("%q: canonical %q reads as %q, %v", s, a.Canonical(), c.Canonical(), err)
		}
	})
}

// FuzzMailbox: any value is a list of mailboxes that can be shown, and costs in proportion.
func FuzzMailbox(f *testing.F) {
	for _, s := range []string{"A <a@b>, c@d (e)", `<a@b>\,<c@d>`, "=?utf-8?B?PGFAYj4=?=,<c@d>", "g: a@b;", "<@x,@y:a@b>", "((("} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		frugal(t, len(s), func() { ParseMailboxes(s) })
		if err := plainBoxIsAlike(s); err != nil {
			t.Fatal(err)
		}
		for _, m := range ParseMailboxes(s) {
			if Hidden(m.Name) || Hidden(m.Address) || !strings.Contains(m.Address, "@") {
				t.Fatalf("%q: %+v", s, m)
			}
			if m.Domain != "" {
				if c, err := CanonicalDomain(m.Domain); m.Domain[0] != '[' && (err != nil || c != m.Domain) {
					t.Fatalf("%q: domain %q", s, m.Domain)
				}
			}
		}
	})
}

// FuzzParams: any value has parameters, and every name made of them is clean.
func FuzzParams(f *testing.F) {
	for _, s := range []string{"a/b; c=d", `a; filename*0*=utf-8''x; filename*1="y"`, `a; name="=?utf-8?q?x?="`, "a/b c=(d)e; f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		frugal(t, len(s), func() { x := parseTyped(s); x.values("filename") })
		x := parseTyped(s)
		for _, p := range x.params {
			for _, v := range x.values(p.name) {
				for _, n := range nameReadings(nil, v) {
					if Hidden(n) || strings.ContainsAny(n, "/\\\x00") || !utf8.ValidString(n) {
						t.Fatalf("%q: name %q", s, n)
					}
				}
			}
		}
	})
}

// FuzzDecode: any body is decoded, in proportion; what a strict decoder takes has one reading.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"QUJD\r\n", "QQ==QQ==", "=41=\r\n=4", "begin 644 a\n#0V%T\n`\nend\n", "=ybegin line=128 size=3 name=a\nabc\n=yend\n", "\x78\x9f\x3e\x22\x01\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		frugal(t, len(b), func() { decodeBase64(b) })
		for _, e := range []string{"base64", "quoted-printable", "x-uuencode", "x-yenc", "identity"} {
			list, _ := decodeBody(e, b)
			if len(list) == 0 {
				t.Fatalf("%s has no reading", e)
			}
			for _, r := range list {
				if len(r.Data) > len(b)+3 {
					t.Fatalf("%s: %d octets decode to %d", e, len(b), len(r.Data))
				}
			}
		}
		readTNEF(b)
		for _, c := range []string{"", "utf-8", "utf-7", "utf-16", "iso-2022-jp", "gb18030", "big5", "x-none"} {
			if s, _ := toUTF8(c, b); !utf8.ValidString(s) {
				t.Fatalf("%s gives invalid UTF-8", c)
			}
		}
		if s := DecodeWords(string(b)); !utf8.ValidString(s) {
			t.Fatal("DecodeWords gives invalid UTF-8")
		}
	})
}

// libraryView is the view of HTML whose tokens are all read by the library.
func libraryView(s string) *View {
	v := new(View)
	r := newHTMLReader(v)
	r.open = append(r.open, opened{ink: black, paper: white})
	r.run(strings.NewReader(s))
	r.endAnchor()
	v.Text, v.Hidden = r.shown.String(), r.hidden.String()
	r.release()
	return v
}

// FuzzHTML: any HTML has a view, in proportion; and it is the one that the library's tokens lead to.
func FuzzHTML(f *testing.F) {
	for _, s := range oddHTML {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "?")
		frugal(t, len(s), func() { new(View).readHTML(s) })
		v := new(View)
		v.readHTML(s)
		if !utf8.ValidString(v.Text) || !utf8.ValidString(v.Hidden) || len(v.Text)+len(v.Hidden) > 8*len(s)+64 || len(v.Links) > maxLinks {
			t.Fatalf("%d octets give %d visible, %d hidden, %d links", len(s), len(v.Text), len(v.Hidden), len(v.Links))
		}
		if want := libraryView(s); !reflect.DeepEqual(v, want) {
			t.Fatalf("%q is read as\n%+v\nnot\n%+v", s, v, want)
		}
	})
}

// oddHTML is HTML that readers disagree on.
var oddHTML = []string{`<p style="display:none">x</p>y<a href="http://a.example/">b</a>`, "<style>.a{display:none}</style><b class=a>x", "<!--[if mso]><a href=//x.example>y</a><![endif]-->",
	"<base href=http://a.example/><img src=x alt=y>", "<meta http-equiv=refresh content='0;url=http://a.example'>", "<font color=#fff>x</font>",
	"<", "a<", "</", "</>b", "</ a>b", "<a", "<a ", "<a x", "<a x=", "<a x='", "<a x='y'", "<a x=y", "<br/>x", "<o:p/>x</o:p>", "<p a=/>x", "<p a/>x", "<p / a / b=c / >x", "<p =a==b>", "<a href=1 href=2>x</a>", "<a HREF =\r\n'http://x.example/\r\n?a=1&amp;b=2&copy=3&copy;&copyx&notit;&notin;&semi;&#65&#x41;'>x",
	"<!", "<!-", "<!--", "<!-->x-->", "<!--->x", "<!--a--!>b", "<!--a--!b-->c", "<!--a---->b", "<!--a", "<!doctype html>x", "<!DOCTYP>x", "<![if !mso]>x<![endif]>", "<?xml a='>'?>x", "<!>x", "<!x", "</%x>y", "<!--a\x00b&amp;-->",
	"<title>a&amp;b</title>c", "<textarea>&lt;</TEXTAREA >c", "<style>a</styl></style x>b", "<style>a", "<script>a<b</script>c", "<script><!--<script></script>--></script>x", "<script/>x</script>y", "<plaintext>a</plaintext>b", "<xmp><b></xmp>c", "<noscript><img src=//x.example></noscript>", "<title>\x00</title>", "a\x00<b\x00 c>d",
	"a &nbsp b&nbsp;c &amp &ampx &AMP; &; & &# &#; &#x; &#0; &#128; &#xD800; &#1114112; &notit; &NotEqualTilde; &bne;", "<p a=1 b=2 c=3" + strings.Repeat(" x y z", 20) + ">x", "x\ry\r\nz<style>a\r{display:none}\r\n</style>", "<iframe src=http://x.example><b></iframe>",
}

// What is hard to read is read as the library reads it, however it is cut off.
func TestOddHTMLIsReadAsTheLibraryReadsIt(t *testing.T) {
	for _, s := range oddHTML {
		for n := range len(s) + 1 {
			cut := strings.ToValidUTF8(s[:n], "?")
			got := new(View)
			got.readHTML(cut)
			if want := libraryView(cut); !reflect.DeepEqual(got, want) {
				t.Errorf("%q is read as\n%+v\nnot\n%+v", cut, got, want)
			}
		}
	}
}

// All HTML of the corpora is read as the library reads it.
func TestHTMLOfTheCorporaIsReadAsTheLibraryReadsIt(t *testing.T) {
	pages := 0
	for _, c := range []string{"mime-corpus", "phishing-pot-300/eml", "spamham-spamassassin/spam", "ham-modern-usrp/eml"} {
		messages(t, corpora(t, c), func(name string, data []byte) {
			for p := range Parse(Memory(crlf(data))).Parts() {
				v := p.View()
				if v == nil || !v.HTML {
					continue
				}
				pages++
				got := new(View)
				got.readHTML(v.Source)
				if want := libraryView(v.Source); !reflect.DeepEqual(got, want) {
					t.Errorf("%s/%s is read otherwise", c, name)
				}
			}
		}, ".eml", ".raw")
	}
	if pages < 800 {
		t.Errorf("only %d pages", pages)
	}
}
