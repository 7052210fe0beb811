package mail

import (
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

// uu writes data as a uuencoded file.
func uu(name, data string) string {
	s := "begin 644 " + name + "\n"
	for len(data) > 0 {
		n := min(len(data), 45)
		line := data[:n]
		data = data[n:]
		s += string(rune(' ' + n))
		for len(line) > 0 {
			var g [3]byte
			line = line[copy(g[:], line):]
			v := uint32(g[0])<<16 | uint32(g[1])<<8 | uint32(g[2])
			for shift := 18; shift >= 0; shift -= 6 {
				c := byte(v>>shift) & 63
				if c == 0 {
					c = 64
				}
				s += string(rune(' ' + c))
			}
		}
		s += "\n"
	}
	return s + "`\nend\n"
}

// tnefOf is a winmail.dat with one file.
func tnefOf(name, data string) string {
	b := binary.LittleEndian.AppendUint32(nil, tnefSignature)
	b = append(b, 1, 0)
	for _, a := range []struct {
		id   uint32
		data string
	}{{tnefRendData, "12345678901234"}, {tnefTitle, name + "\x00"}, {tnefData, data}} {
		b = append(b, 2)
		b = binary.LittleEndian.AppendUint32(b, a.id)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(a.data)))
		b = append(b, a.data...)
		b = append(b, 0, 0)
	}
	return string(b)
}

// E-12, E-21: files inside texts and containers are found with their names.
func TestFilesInsideTextsAreFound(t *testing.T) {
	yenc := "=ybegin line=128 size=23 name=evil.exe\n" + strings.Map(func(r rune) rune { return (r + 42) & 0xff }, "") + string(yEncode(payload)) + "\n=yend size=23\n"
	for _, c := range []struct{ id, message, code string }{
		{"E-12 uuencode", "\nhello\n" + uu("evil.exe", payload), "mime.embedded-file"},
		{"E-12 uuencode in base64", "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString([]byte("hello\r\n"+uu("evil.exe", payload))), "mime.embedded-file"},
		{"E-12 uuencode with base64", "\nbegin-base64 644 evil.exe\n" + payload64 + "\n====\n", "mime.embedded-file"},
		{"E-12 CTE", "Content-Type: application/octet-stream; name=evil.exe\nContent-Transfer-Encoding: x-uuencode\n\n" + uu("evil.exe", payload), ""},
		{"E-12 yEnc", "\n" + yenc, "mime.embedded-file"},
		{"E-21", "Content-Type: application/ms-tnef\nContent-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString([]byte(tnefOf("evil.exe", payload))), "mime.tnef"},
		{"E-21 by its first bytes", "Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString([]byte(tnefOf("evil.exe", payload))), "mime.tnef"},
	} {
		m := parse(c.message)
		found := false
		for p := range m.Parts() {
			found = found || slices.Contains(p.Names(), "evil.exe") && strings.Contains(string(p.Decoded()[0].Data), payload)
		}
		if !found || c.code != "" && !slices.Contains(codes(m), c.code) {
			t.Errorf("%s: %v\n%s", c.id, codes(m), outline(m.Root, ""))
		}
	}
}

func yEncode(s string) []byte {
	b := []byte(s)
	for i := range b {
		b[i] += 42
	}
	return b
}

// E-12, E-18, E-20, E-21: what cannot be looked into, or is there to mislead, is recorded.
func TestWhatCannotBeLookedIntoIsRecorded(t *testing.T) {
	for _, c := range []struct{ id, code, message string }{
		{"E-12 BinHex", "mime.encoding-unsupported", "\n(This file must be converted with BinHex 4.0)\n:abc:\n"},
		{"E-12 BinHex type", "mime.encoding-unsupported", "Content-Type: application/mac-binhex40\n\n:abc:\n"},
		{"E-12 gzip", "mime.encoding-unsupported", "Content-Transfer-Encoding: gzip64\n\nabc\n"},
		{"E-18", "mime.utf7", "Content-Type: text/html; charset=utf-7\n\n+ADw-script+AD4-\n"},
		{"E-20 S/MIME", "mime.smime", "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\nContent-Transfer-Encoding: base64\n\n" + cms64(oidEnveloped, "secret") + "\n"},
		{"E-20 S/MIME by its name", "mime.smime", "Content-Type: application/octet-stream; name=smime.p7m\nContent-Transfer-Encoding: base64\n\n" + cms64(oidAuthEnveloped, "secret") + "\n"},
		{"E-20 S/MIME, empty", "mime.smime-broken", "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\nContent-Transfer-Encoding: base64\n\n\n"},
		{"E-20 S/MIME, nested without end", "mime.smime-broken", "Content-Type: application/pkcs7-mime\n\n" + times(500_000, "\x30\x80") + "\n"},
		{"E-20 S/MIME, compressed", "mime.encoding-unsupported", "Content-Type: application/pkcs7-mime; smime-type=compressed-data\nContent-Transfer-Encoding: base64\n\n" + cms64(oidCompressed, "x") + "\n"},
		{"E-20 PGP", "mime.pgp", "Content-Type: multipart/encrypted; boundary=b\n\n--b\nContent-Type: application/pgp-encrypted\n\nVersion: 1\n--b--\n"},
		{"E-20 PGP in text", "mime.pgp", "\n-----BEGIN PGP MESSAGE-----\n\nx\n"},
		{"E-21 broken", "mime.tnef-broken", "Content-Type: application/ms-tnef\n\n\x78\x9f\x3e\x22\x01\x00\x02\x02\x90\x06\x00\xff\xff\xff\xff"},
	} {
		if m := parse(c.message); !slices.Contains(codes(m), c.code) {
			t.Errorf("%s: %v", c.id, codes(m))
		}
	}
}

// E-18: texts are UTF-8 whatever they were, and never what a sniffing browser would make of them.
func TestTextsAreConverted(t *testing.T) {
	for _, c := range []struct{ charset, body, want string }{
		{"utf-8", "caf\u00e9", "café"}, {"iso-8859-1", "caf\xe9", "café"}, {"utf-16", "\xff\xfea\x00b\x00", "ab"}, {"utf-16", "\x00a\x00b", "ab"},
		{"utf-7", "+ADw-b+AD4-", "<b>"}, {"x-unknown", "caf\xe9", "café"}, {"utf-8", "\xc0\xbcok\u00e9", "\ufffdok\u00e9"}, {"gbk", "\xd6\xd0", "中"}, {"", "caf\xe9", "café"},
		{"utf-32", "\xff\xfe\x00\x00a\x00\x00\x00", "a"}, {"utf-32be", "\x00\x00\x00a\x00\x00\x4e\x2d", "a中"}, {"utf-32", "\x00\x00\x00a", "a"},
		{"iso-2022-kr", "\x1b$)Ca \x0e0!\x0f b", "a 가 b"}, {"iso-2022-cn", "\x1b$)A\x0eVP\x0fb", "中b"},
		{"ibm500", "\x88\xa3\xa3\x97\x7a\x61\x61\x81\x4b\x82", "http://a.b"}, {"IBM273", "\x4c\x81\x6e", "<a>"}, {"x-EBCDIC-Germany", "\x81", "a"}, {"cp850", "a\x82", "aé"},
	} {
		m := Parse(Memory("From: a@b.example\r\nContent-Type: text/plain; charset=" + c.charset + "\r\n\r\n" + c.body))
		if got := m.Text(); strings.ReplaceAll(got, "\ufffd\ufffd", "\ufffd") != c.want {
			t.Errorf("%s %q: %q, want %q", c.charset, c.body, got, c.want)
		}
	}
}

// Of HTML a reader sees the visible words; what is styled away is kept apart.
func TestHiddenTextIsToldApart(t *testing.T) {
	for _, c := range []struct{ html, text, hidden string }{
		{"<p>Hello <b>world</b></p><p>again</p>", "Hello world\nagain", ""},
		{"a<div style='display: none'>b<span>c</span></div>d", "a\nd", "bc"},
		{"a<span style='FONT-SIZE:0px'>b</span>c", "ac", "b"},
		{"<style>.x, #y {display:none !important}</style>a<i class='q x'>b</i><i id=y>c</i>d", "ad", "bc"},
		{"<style>@media x {.x{display:none}}</style>a<i class=x>b</i>", "ab", ""},
		{"<font color=#ffffff>b</font>a", "a", "b"},
		{"<div style='background:#000000'><span style='color:#fff'>a</span><span style='color:#000'>b</span></div>", "a", "b"},
		{"a<script>b</script><!-- c -->d", "ad", "b c"},
		{"a<span hidden>b</span><div style='opacity:0'>c</div>", "a", "b c"},
		{"a &amp; b&nbsp;c", "a & b c", ""},
		{times(100_000, "<div>") + "deep", "deep", ""},
	} {
		v := &View{}
		v.readHTML(c.html)
		if v.Text != c.text && !v.Truncated || strings.ReplaceAll(v.Hidden, " ", "") != strings.ReplaceAll(c.hidden, " ", "") {
			t.Errorf("%.100q: %q, hidden %q", c.html, v.Text, v.Hidden)
		}
	}
}

// H-09: links are found where they stand, with what the reader sees in their place.
func TestLinksSayWhereTheyStandAndWhatIsSeen(t *testing.T) {
	find := func(m *Message) (list []string) {
		for _, l := range m.Links() {
			list = append(list, l.Where+"|"+l.URL+"|"+l.Text)
		}
		slices.Sort(list)
		return list
	}
	for _, c := range []struct{ kind, body, want string }{
		{"plain", "see http://a.example/x?y=1. Or (https://b.example/).", "text|http://a.example/x?y=1|http://a.example/x?y=1 text|https://b.example/|https://b.example/"},
		{"plain", "go to www.example.com/login, or example.org", "bare|http://example.org|example.org bare|http://www.example.com/login|www.example.com/login"},
		{"plain", "mail me@example.com at 10.30", ""},
		{"html", "<a href=\"http://evil.example/\">http://<b>bank.example</b></a>", "a href|http://evil.example/|http://bank.example"},
		{"html", "<a href=' http://e\tvil.example/ '><img src='//i.example/x.png' alt='Log in'></a>", "a href|http://evil.example/|Log in img src|http://i.example/x.png|Log in"},
		{"html", "<base href='http://evil.example/p/'><a href='q'>r</a>", "a href|http://evil.example/p/q|r base href|http://evil.example/p/|"},
		{"html", "<div style=\"background:url('http://c.example/b.png')\">x</div>", "css|http://c.example/b.png|"},
		{"html", "<meta http-equiv=refresh content='0; URL=http://r.example/'>", "meta refresh|http://r.example/|"},
		{"html", "<!--[if mso]><a href='http://o.example/'>x</a><![endif]-->", "comment|http://o.example/|x"},
		{"html", "<form action='http://f.example/'><button formaction='javascript:x'>", "button formaction|javascript:x| form action|http://f.example/|"},
	} {
		m := parse("Content-Type: text/" + c.kind + "\n\n" + c.body + "\n")
		if got := strings.Join(find(m), " "); got != c.want {
			t.Errorf("%q:\n got %s\nwant %s", c.body, got, c.want)
		}
	}
}

// H-09, H-10: links and tags are bounded, and a view that is cut says so.
func TestViewsAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range 20_000 {
		b.WriteString("http://h" + string(rune('a'+i%26)) + times(i%7, "x") + ".example/" + times(3, "p") + " http://a/http://b/" + string(rune('a'+i%26)) + "\n")
	}
	m := parse("\n" + b.String() + "http://" + times(1<<20, "x") + "\n")
	if n := len(m.Links()); n > maxLinks {
		t.Errorf("%d links", n)
	}
	for _, html := range []string{times(1_000_000, "<div>"), "<a " + times(1_000_000, "b=c ") + ">", "<style>" + times(1_000_000, "/* x */") + "</style>", times(200_000, "<!--[if mso]><p><![endif]-->")} {
		m := parse("Content-Type: text/html\n\n" + html)
		if v := m.Root.View(); !v.Truncated && len(html) > maxViewed {
			t.Errorf("%.20q is cut in silence", html)
		}
		if n := allocated(func() { new(View).readHTML(html) }); n > uint64(16*len(html))+32<<20 {
			t.Errorf("%.20q: %d octets allocate %d", html, len(html), n)
		}
	}
}

// Of alternatives a reader sees the HTML; attachments are not shown; the text is bounded.
func TestTextIsWhatAReaderSees(t *testing.T) {
	alt := "Content-Type: multipart/alternative; boundary=a\n\n--a\nContent-Type: text/plain\n\nplain\n--a\nContent-Type: text/html\n\n<p>html</p>\n--a--\n"
	if got := parse(alt).Text(); got != "html" {
		t.Errorf("%q", got)
	}
	m := parse(multi("boundary=m") + "--m\n" + alt + "--m\nContent-Type: text/plain\nContent-Disposition: attachment; filename=x.txt\n\nfile\n--m\n\nfooter\n--m--\n")
	if got := m.Text(); got != "html\nfooter" {
		t.Errorf("%q", got)
	}
	if got := parse("\n" + times(1<<20, "ü")).Text(); len(got) > maxShown {
		t.Errorf("%d octets", len(got))
	}
}
