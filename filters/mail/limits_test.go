package mail

import (
	"encoding/base64"
	"fmt"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
)

// allocated is how many octets one call of f allocates.
func allocated(f func()) uint64 {
	before := heapAllocs()
	f()
	return heapAllocs() - before
}

func heapAllocs() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

func times(n int, s string) string { return strings.Repeat(s, n) }

// hostileShapes are messages that cost some parsers time or memory out of proportion: each grows with n.
var hostileShapes = []struct {
	id    string
	n     int
	shape func(n int) string
}{
	{"H-01 fields", 100_000, func(n int) string { return times(n, "X: y\n") + "\nbody\n" }},
	{"H-02 one huge field", 20_000_000, func(n int) string { return "Subject: " + times(n, "x") + "\n\nbody\n" }},
	{"H-03 folds", 500_000, func(n int) string { return "Subject: x\n" + times(n, " y\n") + "\nbody\n" }},
	{"H-04 part header without end", 10_000_000, func(n int) string { return multi("boundary=b") + "--b\nX: " + times(n, "x") }},
	{"H-05 addresses", 40_000, func(n int) string { return "From: " + times(n, "a@b,\n ") + "\n\n" }},
	{"H-05 phrase", 60_000, func(n int) string { return "From: " + times(n, "a ") + "<a@b.example>\n\n" }},
	{"H-05 encoded-words", 5_000, func(n int) string { return "From: " + times(n, "=?utf-8?q?a?= ") + "<a@b.example>\n\n" }},
	{"H-05 open encoded-words", 15_000, func(n int) string { return "From: " + times(n, "=?a?q?x") + " <a@b.example>\n\n" }},
	{"H-05 open parentheses", 120_000, func(n int) string { return "From: " + times(n, "(") + "a@b.example\n\n" }},
	{"H-05 nested comments", 60_000, func(n int) string { return "From: " + times(n, "(") + times(n, ")") + "a@b.example\n\n" }},
	{"H-05 open quotes", 120_000, func(n int) string { return "From: " + times(n/2, `\"`) + times(n%2, `"`) + "a@b.example\n\n" }},
	{"H-05 angles", 120_000, func(n int) string { return "From: " + times(n, "<") + "a@b.example\n\n" }},
	{"H-05 at signs", 120_000, func(n int) string { return "From: x " + times(n, "@") + "a@b.example\n\n" }},
	{"H-06 pieces", 5_000, func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, " name*%d=a;\n", i)
		}
		return "Content-Type: text/plain;\n" + b.String() + "\nbody\n"
	}},
	{"H-06 parameters", 15_000, func(n int) string { return "Content-Type: text/plain;" + times(n, " a=b;") + "\n\nbody\n" }},
	{"H-06 comments", 60_000, func(n int) string { return "Content-Type: text/plain" + times(n, "(") + "\n\nbody\n" }},
	{"H-07 long line", 20_000_000, func(n int) string { return "\n" + times(n, "x") }},
	{"E-14 depth", 2_000, func(n int) string {
		var b strings.Builder
		b.WriteString(multi("boundary=b0"))
		for i := range n {
			fmt.Fprintf(&b, "--b%d\nContent-Type: multipart/mixed; boundary=b%d\n\n", i, i+1)
		}
		return b.String()
	}},
	{"E-13 messages", 2_000, func(n int) string { return times(n, "Content-Type: message/rfc822\n\n") }},
	{"E-16 empty parts", 200_000, func(n int) string { return multi("boundary=b") + times(n, "--b\n") }},
	{"E-01 overlapping readings", 60, func(n int) string {
		return multi("boundary=a; boundary=b; boundary=c; boundary=d") + times(n, "--a\n"+multi("boundary=a; boundary=b; boundary=c; boundary=d")+"--b\n\nx\n--c\n\ny\n--d\n\nz\n")
	}},
	{"H-04 border readings", 20_000, func(n int) string { return "Subject: x\n" + times(n, "junk\n") + "\n" + multi("boundary=b") }},
	{"E-10 base64 junk", 1_000_000, func(n int) string { return "Content-Transfer-Encoding: base64\n\n" + times(n, "QQ==#") }},
	{"E-11 malformed escapes", 1_000_000, func(n int) string { return "Content-Transfer-Encoding: quoted-printable\n\n" + times(n, "= =") }},
	{"E-12 uuencode", 50_000, func(n int) string { return "\n" + times(n, "begin 644 a\n") }},
	{"E-12 uuencode with end", 50_000, func(n int) string { return "\n" + times(n, "begin 644 a\n#0V%T\n") }},
	{"E-12 yEnc", 50_000, func(n int) string { return "\n" + times(n, "=ybegin line=128 size=9999999999 name=a\n") }},
	{"H-15 date", 10_000, func(n int) string { return "Date: " + times(n, "(") + "\n\n" }},
	{"F-04 names", 100, func(n int) string {
		return "Content-Type: text/plain; name=\"" + times(n*40, "\u202e%00:;=?utf-8?q?a?=") + "\"\n\n"
	}},
}

// H-01 to H-07, H-15, E-10 to E-16: what a message costs is bounded by its size, whatever it says; twice the message
// costs at most about twice the memory.
func TestHostileShapesCostInProportion(t *testing.T) {
	for _, c := range hostileShapes {
		t.Run(c.id, func(t *testing.T) {
			small, large := wire("X: y\n"+c.shape(c.n/2)), wire("X: y\n"+c.shape(c.n))
			var half, full uint64
			half = allocated(func() { m := Parse(small); m.Date() })
			full = allocated(func() { m := Parse(large); m.Date() })
			if bound := uint64(4*len(large) + 8<<20); full > bound {
				t.Errorf("%d octets allocate %d", len(large), full)
			}
			if full > 3*half+1<<20 {
				t.Errorf("twice the message allocates %d instead of %d", full, half)
			}
		})
	}
}

// H-01, H-02, H-03, 3.3: the header's limits hold to the octet, and what is beyond is said.
func TestHeaderLimitsAreExact(t *testing.T) {
	for _, c := range []struct {
		code   string
		within string
		beyond string
	}{
		{"header.too-many-fields", "From: a@b.example\n" + times(maxFields-1, "X: y\n"), "From: a@b.example\n" + times(maxFields, "X: y\n")},
		{"header.field-too-long", "X: " + times(maxField-5, "x") + "\n", "X: " + times(maxField-4, "x") + "\n"},
		{"header.too-long", times(4, "X: "+times(maxField-6, "x")+"\n") + "\n", times(4, "X: "+times(maxField-5, "x")+"\n") + "Y: z\n"},
	} {
		for i, s := range []string{c.within, c.beyond} {
			m := Parse(wire(s + "\nbody\n"))
			if got := slices.Contains(codes(m), c.code); got != (i == 1) {
				t.Errorf("%s: %d octets: %v, %v", c.code, len(s), got, codes(m))
			}
		}
	}
	if m := Parse(wire(times(maxFields+5, "X: y\n") + "\n")); len(m.Header) != maxFields {
		t.Errorf("%d fields are kept", len(m.Header))
	}
}

// E-13, E-14, E-16, 3.3: the limits of the tree are exact.
func TestTreeLimitsAreExact(t *testing.T) {
	depth := func(n int) string {
		s := ""
		for i := range n {
			if i > 0 {
				s += fmt.Sprintf("--q%dq\n", i-1)
			}
			s += multi(fmt.Sprintf("boundary=q%dq", i))
		}
		return s + fmt.Sprintf("--q%dq\n\nx\n", n-1)
	}
	for _, c := range []struct{ code, within, beyond string }{
		{"mime.too-many-parts", multi("boundary=b") + times(maxParts-1, "--b\n\nx\n") + "--b--\n", multi("boundary=b") + times(maxParts, "--b\n\nx\n") + "--b--\n"},
		{"mime.too-deep", depth(maxDepth), depth(maxDepth + 1)},
		{"mime.messages-too-deep", times(maxMessages, "Content-Type: message/rfc822\n\n") + "\nx\n", times(maxMessages+1, "Content-Type: message/rfc822\n\n") + "\nx\n"},
		{"mime.too-many-parameters", "Content-Type: a/b" + times(maxParams, ";a=b") + "\n\n", "Content-Type: a/b" + times(maxParams+1, ";a=b") + "\n\n"},
		{"mime.too-many-parameters", "Content-Disposition: attachment" + times(maxParams, ";a=b") + "\n\n", "Content-Disposition: attachment" + times(maxParams, ";a=b") + ";filename=a.exe\n\n"},
		{"mime.too-many-parameters", multi("boundary=b") + times(19, "--b\nContent-Type: a/b"+times(maxParams, ";a=b")+"\n\nx\n") + "--b--\n", multi("boundary=b") + times(20, "--b\nContent-Type: a/b"+times(maxParams, ";a=b")+"\n\nx\n") + "--b--\n"},
		{"mime.boundary-long", multi("boundary="+times(70, "x")) + "--" + times(70, "x") + "\n\n", multi("boundary="+times(71, "x")) + "--" + times(71, "x") + "\n\n"},
		{"mime.boundary-huge", multi("boundary="+times(200, "x")) + "--" + times(200, "x") + "\n\n", multi("boundary="+times(201, "x")) + "--" + times(201, "x") + "\n\n"},
	} {
		for i, s := range []string{c.within, c.beyond} {
			m := parse(s)
			if got := slices.Contains(codes(m), c.code); got != (i == 1) {
				t.Errorf("%s: %v, %v", c.code, got, codes(m))
			}
		}
	}
}

// E-13: a message inside a message is read, also when it is encoded.
func TestAttachedMessagesAreRead(t *testing.T) {
	inner := "Subject: inner\n" + multi("boundary=b") + part("b") + "--b--\n"
	for _, c := range []struct{ code, message string }{
		{"", "Content-Type: message/rfc822\n\n" + inner},
		{"", "Content-Type: message/global\n\n" + inner},
		{"", multi("boundary=o") + "--o\nContent-Type: message/rfc822\n\n" + inner + "\n--o--\n"},
		{"", "Content-Type: multipart/digest; boundary=o\n\n--o\n\n" + inner + "\n--o--\n"},
		{"mime.message-encoded", "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString([]byte(inner))},
		{"mime.message-encoded", "Content-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable\n\n" + strings.ReplaceAll(inner, "=", "=3D")},
	} {
		m := parse(c.message)
		if !finds(m, payload) {
			t.Errorf("the payload is not found in\n%s", outline(m.Root, ""))
		}
		if c.code == "" && len(m.Defects) > 0 || c.code != "" && !slices.Contains(codes(m), c.code) {
			t.Errorf("%v", codes(m))
		}
		for p := range m.Parts() {
			if p.Body.Start < m.BodySpan().Start || p.Body.End > m.Size() {
				t.Errorf("part %s stands at %v", p.Path(), p.Body)
			}
		}
	}
}

// E-15: without defects no octet belongs to two leaves.
func TestLeavesDoNotOverlap(t *testing.T) {
	for _, c := range []string{"ham-modern-usrp/eml", "spamham-spamassassin/hardham"} {
		messages(t, corpora(t, c), func(name string, data []byte) {
			m := Parse(Memory(crlf(data)))
			var end int64
			for p := range m.Parts() {
				if p.Role != RolePart {
					return
				}
				if p.Body.Start < end {
					t.Errorf("%s: part %s begins at %d, before %d", name, p.Path(), p.Body.Start, end)
				}
				end = p.Body.End
			}
		}, ".eml")
	}
}

// E-17: fragments are refused, and what lies elsewhere is never fetched, only recorded.
func TestFragmentsAndReferencesAreRecorded(t *testing.T) {
	m := parse("Content-Type: message/partial; number=2; total=5; id=x\n\nbody\n")
	if !slices.Contains(codes(m), "mime.partial") || worst(m) != Refuse {
		t.Error(codes(m))
	}
	m = parse("Content-Type: message/external-body; access-type=anon-ftp; site=x.example; name=y\n\nContent-Type: image/gif\n\n")
	if !slices.Contains(codes(m), "mime.external-body") || worst(m) != Ambiguous {
		t.Error(codes(m))
	}
}

// H-11: names and texts are folded only up to a bound.
func TestFoldingIsBounded(t *testing.T) {
	name := times(1<<20, "a\u0301")
	if got := nameReadings(nil, name); len(got) != 1 || len(got[0]) > 2*maxName {
		t.Errorf("%d readings, the first of %d octets", len(got), len(got[0]))
	}
}
