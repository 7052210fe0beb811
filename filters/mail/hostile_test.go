package mail

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// payload is what an attacker wants to get past the filters: every test that hides it must find it.
const payload = "EVIL-PAYLOAD-0123456789"

var payload64 = base64.StdEncoding.EncodeToString([]byte(payload))

// wire gives s the line ends of the wire.
func wire(s string) Memory { return Memory(strings.ReplaceAll(s, "\n", "\r\n")) }

// parse reads a message made of a minimal header and rest.
func parse(rest string) *Message { return Parse(wire("From: a@b.example\n" + rest)) }

func codes(m *Message) []string {
	var list []string
	for _, d := range m.Defects {
		if !slices.Contains(list, d.Code) {
			list = append(list, d.Code)
		}
	}
	slices.Sort(list)
	return list
}

// worst is the highest severity of a message's defects.
func worst(m *Message) Severity {
	s := Note
	for _, d := range m.Defects {
		s = max(s, SeverityOf(d.Code))
	}
	return s
}

// finds reports whether some reading of some leaf holds text.
func finds(m *Message, text string) bool {
	for p := range m.Parts() {
		for _, r := range p.Decoded() {
			if bytes.Contains(r.Data, []byte(text)) {
				return true
			}
		}
	}
	return false
}

// attachment is a part that hides the payload.
const attachment = "Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n"

// part is one part between boundaries b.
func part(b string) string { return "--" + b + "\n" + attachment + payload64 + "\n" }

func multi(params string) string { return "Content-Type: multipart/mixed; " + params + "\n\n" }

// E-01 to E-12, E-19, E-22, A-19: each trick that hid a payload from some parser is read both ways and recorded.
func TestEveryReadingIsExtractedAndRecorded(t *testing.T) {
	text := "--a\n\nhello\n"
	for _, c := range []struct{ id, code, message string }{
		{"E-01 two boundaries", "mime.boundary-twice", multi("boundary=a; boundary=b") + text + "--a--\n" + part("b") + "--b--\n"},
		{"E-01 reverse", "mime.boundary-twice", multi("boundary=b; boundary=a") + text + "--a--\n" + part("b") + "--b--\n"},
		{"E-02 RFC 2231", "mime.boundary-twice", multi("boundary=a; boundary*=utf-8''b") + text + "--a--\n" + part("b") + "--b--\n"},
		{"E-02 piece", "mime.boundary-twice", multi(`boundary="a"; boundary*0="b"`) + text + "--a--\n" + part("b") + "--b--\n"},
		{"E-03 text first", "mime.type-twice", "Content-Type: text/plain\nContent-Type: multipart/mixed; boundary=b\n\n" + part("b") + "--b--\n"},
		{"E-03 text last", "mime.type-twice", "Content-Type: multipart/mixed; boundary=b\nContent-Type: text/plain\n\n" + part("b") + "--b--\n"},
		{"E-03 in a part", "mime.type-twice", multi("boundary=a") + "--a\nContent-Type: text/plain\nContent-Type: multipart/mixed; boundary=b\n\n" + part("b") + "--b--\n--a--\n"},
		{"E-04 blank before colon", "header.space-before-colon", "Content-Type : multipart/mixed; boundary=b\n\n" + part("b") + "--b--\n"},
		{"E-04 two colons", "header.double-colon", "Content-Type:: multipart/mixed; boundary=b\n\n" + part("b") + "--b--\n"},
		{"E-04 behind a blank line", "header.blank-line", "Subject: x\n \nContent-Type: multipart/mixed; boundary=b\n\n" + part("b") + "--b--\n"},
		{"E-04 CR before the key", "header.bare-cr", "Subject: x\rContent-Type: multipart/mixed; boundary=b\n\n" + part("b") + "--b--\n"},
		{"E-05 inner is outer", "mime.boundary-nested", multi("boundary=a") + "--a\n" + multi("boundary=a") + part("a") + "--a--\n"},
		{"E-05 inner extends outer", "mime.boundary-nested", multi("boundary=a") + "--a\n" + multi("boundary=ab") + part("ab") + "--ab--\n--a--\n"},
		{"E-05 outer extends inner", "mime.boundary-nested", multi("boundary=ab") + "--ab\n" + multi("boundary=a") + part("a") + "--a--\n--ab--\n"},
		{"E-05 line goes on", "mime.boundary-prefix", multi("boundary=b") + "--bjunk\n" + attachment + payload64 + "\n--bjunk--\n--b\n\nx\n--b--\n"},
		{"E-06 71 octets", "mime.boundary-long", multi("boundary="+strings.Repeat("x", 71)) + part(strings.Repeat("x", 71)) + "--" + strings.Repeat("x", 71) + "--\n"},
		{"E-06 200 octets", "mime.boundary-long", multi("boundary="+strings.Repeat("x", 200)) + part(strings.Repeat("x", 200))},
		{"E-06 201 octets", "mime.boundary-huge", multi("boundary="+strings.Repeat("x", 201)) + part(strings.Repeat("x", 201))},
		{"E-06 empty", "mime.boundary-empty", multi(`boundary=""`) + part("b") + "--b--\n"},
		{"E-06 blank at the end", "mime.boundary-odd", multi(`boundary="b "`) + part("b") + "--b--\n"},
		{"E-06 missing", "mime.boundary-missing", multi("charset=utf-8") + part("b") + "--b--\n"},
		{"E-07 behind the end", "mime.parts-after-end", multi("boundary=b") + "--b\n\nx\n--b--\n" + part("b")},
		{"E-07 epilogue", "mime.epilogue-part", multi("boundary=b") + "--b\n\nx\n--b--\n" + attachment + payload64 + "\n"},
		{"E-07 preamble", "mime.preamble-part", multi("boundary=b") + attachment + payload64 + "\n--b\n\nx\n--b--\n"},
		{"E-07 undeclared", "mime.boundary-undeclared", multi("boundary=b") + part("other") + "--other--\n--b\n\nx\n--b--\n"},
		{"E-09 list", "mime.encoding-ambiguous", "Content-Transfer-Encoding: base64, 7bit\n\n" + payload64 + "\n"},
		{"E-09 comment inside", "mime.encoding-ambiguous", "Content-Transfer-Encoding: bas(x)e64\n\n" + payload64 + "\n"},
		{"E-09 quoted", "mime.encoding-ambiguous", "Content-Transfer-Encoding: \"base64\"\n\n" + payload64 + "\n"},
		{"E-09 encoded-word", "mime.encoding-ambiguous", "Content-Transfer-Encoding: =?utf-8?q?base64?=\n\n" + payload64 + "\n"},
		{"E-09 x-base64", "mime.encoding-ambiguous", "Content-Transfer-Encoding: x-base64\n\n" + payload64 + "\n"},
		{"E-09 two fields", "mime.encoding-ambiguous", "Content-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: base64\n\n" + payload64 + "\n"},
		{"E-09 empty, then base64", "mime.encoding-ambiguous", "Content-Transfer-Encoding: \nContent-Transfer-Encoding: base64\n\n" + payload64 + "\n"},
		{"E-09 multipart", "mime.multipart-encoded", "Content-Transfer-Encoding: base64\n" + multi("boundary=b") + base64.StdEncoding.EncodeToString([]byte(part("b")+"--b--\n")) + "\n"},
		{"E-10 padding first", "mime.base64-malformed", "Content-Transfer-Encoding: base64\n\nQUE=\n" + payload64 + "\n"},
		{"E-10 junk", "mime.base64-malformed", "Content-Transfer-Encoding: base64\n\n" + payload64[:4] + "#-_.:%" + payload64[4:] + "\n"},
		{"E-10 line of padding", "mime.base64-malformed", "Content-Transfer-Encoding: base64\n\n" + payload64[:8] + "\n=\n" + payload64[8:] + "\n"},
		{"E-11 malformed escapes", "mime.qp-malformed", "Content-Transfer-Encoding: quoted-printable\n\n=H=XX EVIL-=\nPAYLOAD-0123456789=\n"},
		{"E-19 encoded-word in the type", "mime.type-encoded-word", "Content-Type: =?utf-8?q?multipart/mixed?=; boundary=b\n\n" + part("b") + "--b--\n"},
		{"E-19 encoded-word in the boundary", "mime.boundary-twice", multi(`boundary="=?utf-8?q?b?="`) + part("b") + "--b--\n"},
		{"E-22 no colon: body there", "mime.header-no-colon", multi("boundary=a") + "--a\nContent-Type: text/plain\n" + payload + "\nX: y\n\nhello\n--a--\n"},
		{"E-22 no colon: header goes on", "mime.header-no-colon", multi("boundary=a") + "--a\njunk\n" + attachment + payload64 + "\n--a--\n"},
		{"E-22 NUL", "header.nul", multi("boundary=a") + "--a\nX: \x00\n" + attachment + payload64 + "\n--a--\n"},
		{"E-22 header of the message", "header.no-colon", "Subject: x\njunk\n" + multi("boundary=b") + part("b") + "--b--\n"},
		{"A-19 border", "header.blank-line", "Subject: x\n \n" + payload + "\n\nhello\n"},
	} {
		t.Run(c.id, func(t *testing.T) {
			m := parse(c.message)
			if !slices.Contains(codes(m), c.code) {
				t.Errorf("no %s among %v", c.code, codes(m))
			}
			if !finds(m, payload) {
				t.Errorf("the payload is not found; defects %v; parts:\n%s", codes(m), outline(m.Root, ""))
			}
		})
	}
}

// outline draws the tree, a part a line.
func outline(p *Part, indent string) string {
	s := fmt.Sprintf("%s[%s] %s %s %v %d-%d %v\n", indent, p.Path(), p.Type, p.Role, p.Names(), p.Body.Start, p.Body.End, p.encodings)
	for _, c := range p.Children {
		s += outline(c, indent+"  ")
	}
	for _, c := range p.Others() {
		s += outline(c, indent+"  ")
	}
	return s
}

// E-08: a message without MIME-Version is read as MIME, and nothing is odd about it.
func TestMIMEVersionIsNotNeeded(t *testing.T) {
	m := parse(multi("boundary=b") + part("b") + "--b--\n")
	if len(m.Defects) != 0 || !finds(m, payload) {
		t.Error(codes(m))
	}
}

// D-07 to D-19, A-18: whoever may be shown as the author is known, and what no honest program writes is refused.
func TestAuthorTricksAreRefused(t *testing.T) {
	for _, c := range []struct{ id, code, header, authors string }{
		{"D-07", "header.from-twice", "From: <x@attack.example>\nFrom: <admin@legit.example>\n", "x@attack.example admin@legit.example"},
		{"D-08", "header.leading-blank", " From: <x@attack.example>\nFrom: <admin@legit.example>\n", "admin@legit.example x@attack.example"},
		{"D-08 tab", "header.leading-blank", "\tSubject: x\nFrom: <admin@legit.example>\n", "admin@legit.example"},
		{"D-09", "header.space-before-colon-identity", "From: <x@attack.example>\nFrom : <admin@legit.example>\n", "x@attack.example admin@legit.example"},
		{"D-10", "header.folded-name-identity", "From\n : <x@attack.example>\nFrom: <admin@legit.example>\n", "x@attack.example admin@legit.example"},
		{"D-11", "header.from-missing", "Sender: <admin@legit.example>\n", ""},
		{"D-11 resent", "header.from-missing", "Resent-From: <admin@legit.example>\n", ""},
		{"D-13", "from.encoded", "From: =?utf-8?B?PGFkbWluQGxlZ2l0LmNvbT4=?=,<y@attack.example>\n", "admin@legit.com y@attack.example"},
		{"D-15", "from.split", "From: <admin@legit.example>\\,<y@attack.example>\n", "admin@legit.example y@attack.example"},
		{"D-16", "from.split", "From: <y@attack.example>admin@legit.example\n", "y@attack.example admin@legit.example"},
		{"D-19", "header.leading-blank", " From: <x@attack.example>\nResent-From: <admin@legit.example>\n", "x@attack.example"},
		{"D-32", "from.bad-domain", "From: <admin@legit\u202e.example>\n", "admin@legit.example"},
		{"D-32 punycode", "from.bad-domain", "From: <admin@xn--zzzzzz-.example>\n", "admin@xn--zzzzzz-.example"},
		{"A-18", "header.bare-cr", "Subject: a\rFrom: <admin@legit.example>\nFrom: <x@attack.example>\n", "x@attack.example admin@legit.example"},
		{"A-18 hidden", "header.from-hidden", "Subject: a\rFrom: <admin@legit.example>\n", "admin@legit.example"},
		{"empty", "from.unreadable", "From: \n", ""},
	} {
		m := Parse(wire(c.header + "To: v@victim.example\n\nhello\n"))
		var got []string
		for _, a := range m.Authors() {
			got = append(got, a.Address)
		}
		if strings.Join(got, " ") != c.authors {
			t.Errorf("%s: authors %v", c.id, got)
		}
		if !slices.Contains(codes(m), c.code) || worst(m) != Refuse {
			t.Errorf("%s: %v", c.id, codes(m))
		}
	}
}

// D-12, D-14, D-16, D-17, D-18: what is odd about an author and yet may be honest is recorded and not refused.
func TestOddAuthorsAreRecorded(t *testing.T) {
	for _, c := range []struct {
		id, header, code string
		severity         Severity
	}{
		{"D-12", "From: <x@attack.example>, <admin@legit.example>\n", "from.many", Ambiguous},
		{"D-14", "From: <@attack.example,@any.example:admin@legit.example>\n", "from.route", Note},
		{"D-16", "From: admin@legit.example,<y@attack.example>\n", "from.many", Ambiguous},
		{"D-17", "From: \"admin@legit.example\" <x@attack.example>\n", "from.name-address", Note},
		{"D-18", "From: =?utf-8?q?admin=40legit.example=00?= <x@attack.example>\n", "from.hidden", Note},
		{"D-18 bidi", "From: \"\u202eabc\" <x@attack.example>\n", "from.hidden", Note},
		{"E-04", "From: a@b.example\nX-Y : z\n", "header.space-before-colon", Ambiguous},
		{"D-20", "From: a@b.example\nSubject: a\nSubject: b\n", "header.duplicate", Ambiguous},
	} {
		m := Parse(wire(c.header + "\nhello\n"))
		if !slices.Contains(codes(m), c.code) || worst(m) != c.severity {
			t.Errorf("%s: %v is %s, want %s %s", c.id, codes(m), worst(m), c.code, c.severity)
		}
	}
	m := Parse(wire("From: " + strings.Repeat("n", 5000) + " <x@attack.example>\n\n"))
	if a := m.Authors(); len(a) != 1 || a[0].Domain != "attack.example" {
		t.Error("D-18: a long name hides the address")
	}
}
