package smtp

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"testing"
)

// FuzzContentWriter holds what goes out against what RFC 5321 section 4.5.2 undoes at the other end: P-06 and P-07.
func FuzzContentWriter(f *testing.F) {
	for _, s := range []string{"", ".", "..\r\n", "a\r\n.\r\nb", "a\n.\n", "\r\r\n", "x\r\n\x00", "abcdefgh\r\n.abcdefgh\r\n", "\r\n.\r"} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, content []byte, size int) {
		var b bytes.Buffer
		out := bufio.NewWriter(&b)
		w := newContentWriter(out)
		err := error(nil)
		for rest := content; len(rest) > 0 && err == nil; {
			n := len(rest)
			if size > 0 {
				n = min(n, size)
			}
			_, err = w.Write(rest[:n])
			rest = rest[n:]
		}
		if err == nil {
			err = w.end()
		}
		out.Flush()
		bare := strings.NewReplacer("\r\n", "").Replace(string(content))
		if (err != nil) != strings.ContainsAny(bare, "\r\n\x00") {
			t.Fatalf("%q: %v", content, err)
		}
		if err != nil {
			if strings.Contains("\r\n"+b.String(), "\r\n.\r\n") {
				t.Fatalf("%q: refused, yet ended", content)
			}
			return
		}
		want := string(content)
		if want != "" && !strings.HasSuffix(want, "\r\n") {
			want += "\r\n"
		}
		wire := "\r\n" + b.String()
		if strings.Index(wire, "\r\n.\r\n") != len(wire)-5 {
			t.Fatalf("%q: the end of data is not at the end: %q", content, wire)
		}
		got := strings.ReplaceAll(wire[:len(wire)-3], "\r\n.", "\r\n")[2:]
		if got != want {
			t.Fatalf("%q came out as %q", content, got)
		}
	})
}

// FuzzReadReply holds that no next hop's words break the bounds that the rest of the program relies on.
func FuzzReadReply(f *testing.F) {
	for _, s := range []string{"250 ok\r\n", "250-a\r\n250 b\r\n", "550 5.1.1 x\r\n", "250\r\n", "250-\r\n", "421 4.3.2 \x1b[0m\r\n", "250 x\n", "999 \r\n", "550 5.1.1234 x\r\n", "250 2.0.0\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bufio.NewReaderSize(bytes.NewReader(b), maxReplyLine)
		r, err := readReply(in, func(line string) {
			if strings.ContainsAny(line, "\r\n\x00") || len(line) > maxReplyLine {
				t.Fatalf("line %q", line)
			}
		})
		if err != nil {
			return
		}
		rest, _ := io.ReadAll(in)
		if read := b[:len(b)-len(rest)]; !bytes.HasSuffix(read, []byte("\r\n")) || len(read) > maxReplyBytes {
			t.Fatalf("read %q", read)
		}
		if r.Code < 200 || r.Code > 599 || len(r.Text) > maxReplyText {
			t.Fatalf("%+v", r)
		}
		if r.Code/100 != 3 && (r.Enhanced == "" || r.Enhanced[0] != byte('0'+r.Code/100)) {
			t.Fatalf("%+v: the codes disagree", r)
		}
		for _, c := range []byte(r.Text + r.Enhanced) {
			if c < ' ' || c > '~' {
				t.Fatalf("%+q", r.Text)
			}
		}
	})
}
