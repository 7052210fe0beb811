package smtp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// A modelled is what the reference model makes of octets that follow 354.
type modelled struct {
	ended   bool
	content string // if sound
	rest    string // what follows the end
	bareLF  bool
	bareCR  bool
	nul     bool
}

// model reads data the slow and obvious way: the end is the first CRLF "." CRLF, where the CRLF of the DATA command
// counts (RFC 5321 section 4.1.1.4); one dot behind each CRLF is for transparency.
func model(data string, normalize bool) modelled {
	var m modelled
	head, rest, ended := strings.Cut("\r\n"+data, "\r\n.\r\n")
	if !ended {
		return m
	}
	m.ended, m.rest = true, rest
	raw := strings.TrimPrefix(head+"\r\n", "\r\n")
	var out strings.Builder
	for i := 0; i < len(raw); i++ {
		b := raw[i]
		after := i > 0 && raw[i-1] == '\r'
		switch {
		case b == '.' && (i == 0 || strings.HasSuffix(raw[:i], "\r\n")):
			continue
		case b == '\n' && !after:
			m.bareLF = true
			if normalize {
				out.WriteByte('\r')
			}
		case b == '\r' && (i+1 == len(raw) || raw[i+1] != '\n'):
			m.bareCR = true
		case b == 0:
			m.nul = true
		}
		out.WriteByte(b)
	}
	m.content = out.String()
	return m
}

// flaw is the flaw that the reader must find, sizes aside.
func (m modelled) flaw(normalize bool) flaw {
	switch {
	case m.bareLF && !normalize:
		return flawBareLF
	case m.bareCR:
		return flawBareCR
	case m.nul:
		return flawNUL
	}
	return sound
}

// pieces is a reader that gives out its pieces one at a time.
type pieces struct{ list []string }

func (p *pieces) Read(b []byte) (int, error) {
	for len(p.list) > 0 && p.list[0] == "" {
		p.list = p.list[1:]
	}
	if len(p.list) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.list[0])
	p.list[0] = p.list[0][n:]
	return n, nil
}

// wide are limits that no small test meets.
var wide = contentLimits{size: 1 << 30, line: 64 << 10, header: 512 << 10, field: 128 << 10, fields: 1000}

// testInput is an input over r.
func testInput(r io.Reader) *input {
	return &input{src: r, pool: &buffers{}}
}

// readAll reads the content in pieces and returns what the reader gave out, the reader, and what it left unread.
func readAll(limits contentLimits, list ...string) (string, *content, string) {
	src := &pieces{append([]string(nil), list...)}
	in := testInput(src)
	d := newContent(in, limits, in.read)
	var b bytes.Buffer
	_, _ = io.Copy(&b, d)
	d.drain()
	rest, _ := io.ReadAll(src)
	return b.String(), d, string(in.pending()) + string(rest)
}

// agree fails unless the reader does with data, cut into pieces, what the model says.
func agree(t *testing.T, normalize bool, list ...string) {
	t.Helper()
	data := strings.Join(list, "")
	m := model(data, normalize)
	limits := wide
	limits.normalizeLF = normalize
	got, d, rest := readAll(limits, list...)
	if d.ended != m.ended {
		t.Fatalf("%.300q: ended %v, want %v", list, d.ended, m.ended)
	}
	if !m.ended {
		if !errors.Is(d.err, io.ErrUnexpectedEOF) {
			t.Fatalf("%.300q: cut off, but %v", list, d.err)
		}
		return
	}
	if f := m.flaw(normalize); d.flaw != f {
		t.Fatalf("%.300q: flaw %d, want %d", list, d.flaw, f)
	} else if f == sound && (got != m.content || d.err != io.EOF) {
		t.Fatalf("%.300q: content %q (%v), want %q", list, got, d.err, m.content)
	} else if f != sound && d.err == io.EOF {
		t.Fatalf("%.300q: flawed content taken for whole", list)
	}
	if d.flaw == sound && d.size != int64(len(m.content)) {
		t.Fatalf("%.300q: size %d, want %d", list, d.size, len(m.content))
	}
	if rest != m.rest {
		t.Fatalf("%.300q: left %q, want %q", list, rest, m.rest)
	}
}

// endings are content and ends of data of HOSTILE.md 2-A, by id.
var endings = map[string]string{
	"A-01": "x\n.\nMAIL FROM:<a@x.example>\r\nmore\r\n.\r\n",
	"A-02": "x\n.\r\nMAIL\r\n.\r\n",
	"A-03": "x\r\n.\nMAIL\r\n.\r\n",
	"A-04": "x\r.\r\nMAIL\r\n.\r\n",
	"A-05": "x\r.\rMAIL\r\nx\r.\nMAIL\r\nx\n.\rMAIL\r\n.\r\n",
	"A-06": "x\r\n.\r\nNOOP\r\n",
	"A-07": "x\r\n\x00.\r\nMAIL\r\nx\r\n.\x00\r\nMAIL\r\n.\r\n",
	"A-08": "x\r\n.\r\r\nMAIL\r\nx\r\r\n.\r\r\nMAIL\r\n.\r\n",
	"A-09": ".\r\nNOOP\r\n",
	"A-10": "..\r\n...\r\n.x\r\n..x\r\nx.\r\n. \r\n.\r\nNOOP\r\n",
	"A-15": "a\nb\r\n.\r\n",
	"A-16": "a\n.\nb\n..\nc\r\n.\r\n",
	"A-17": "a\rb\r\n.\r\n",
	"A-18": "Subject: a\rFrom: <admin@legit.example>\r\n\r\nx\r\n.\r\n",
	"A-19": "Subject: a\r\n \r\nX: y\r\n\r\nx\r\n.\r\nNOOP\r\n",
	"A-20": "x\r\n.",
}

// at every split point, strict and normalizing, and one octet at a time.
func TestContentAgreesWithModelAtEverySplit(t *testing.T) {
	for id, data := range endings {
		t.Run(id, func(t *testing.T) {
			for _, normalize := range []bool{false, true} {
				for i := range data {
					agree(t, normalize, data[:i], data[i:])
				}
				agree(t, normalize, strings.Split(data, "")...)
			}
		})
	}
}

// the pattern straddles every edge of the small and the big buffer.
func TestContentAgreesWithModelAtBufferEdges(t *testing.T) {
	for _, edge := range []int{smallBuffer, bigBuffer, smallBuffer + bigBuffer} {
		for _, data := range endings {
			for off := -8; off <= 2; off++ {
				pad := strings.Repeat(strings.Repeat("p", 62)+"\r\n", (edge+off)/64) + strings.Repeat("q", (edge+off)%64)
				agree(t, false, "\r\n"+pad+"\r\n"+data)
			}
		}
	}
}

// a bare LF becomes CRLF for exempted networks, and makes no end of data, here or behind us.
func TestBareLFIsNormalizedForExemptedNetworks(t *testing.T) {
	limits := wide
	limits.normalizeLF = true
	for data, want := range map[string]string{
		"a\nb\r\n.\r\n":            "a\r\nb\r\n",
		"a\n.\nb\r\n.\r\n":         "a\r\n.\r\nb\r\n",
		"a\n.\r\nb\r\n.\r\n":       "a\r\n.\r\nb\r\n",
		"a\r\n..\nb\r\n.\r\n":      "a\r\n.\r\nb\r\n",
		"\n\n\r\n.\r\n":            "\r\n\r\n\r\n",
		"Subject: x\n\nb\r\n.\r\n": "Subject: x\r\n\r\nb\r\n",
	} {
		got, d, _ := readAll(limits, data)
		if got != want || d.err != io.EOF {
			t.Errorf("%q: got %q (%v), want %q", data, got, d.err, want)
		}
	}
}

// C-26 and the size limit at n-1, n, n+1: dots of transparency and the final dot do not count.
func TestSizeLimit(t *testing.T) {
	limits := wide
	limits.size = 100
	for n, want := range map[int]flaw{99: sound, 100: sound, 101: flawSize} {
		data := "\r\n..\r\n" + strings.Repeat("x", n-7) + "\r\n.\r\n"
		got, d, rest := readAll(limits, data+"NOOP\r\n")
		if d.flaw != want || !d.ended || rest != "NOOP\r\n" {
			t.Errorf("%d octets: flaw %d, ended %v, rest %q", n, d.flaw, d.ended, rest)
		}
		if want == sound && len(got) != n {
			t.Errorf("%d octets: %d came", n, len(got))
		}
	}
}

// C-26: flawed content is read on to its end, but not for ever.
func TestEndlessContentIsGivenUp(t *testing.T) {
	limits := wide
	limits.size = 1 << 20
	for name, line := range map[string]string{"size": "x\r\n", "bare LF": "x\n", "one line": strings.Repeat("x", 999)} {
		src := &endless{line: line}
		in := testInput(src)
		d := newContent(in, limits, in.read)
		n, err := io.Copy(io.Discard, d)
		if d.ended || err == nil || n > limits.size || src.n > 2*limits.size+3*bigBuffer {
			t.Errorf("%s: ended %v, error %v, %d given out, %d read", name, d.ended, err, n, src.n)
		}
	}
}

// endless gives the same line for ever.
type endless struct {
	line string
	n    int64
}

func (e *endless) Read(p []byte) (int, error) {
	n := 0
	for n+len(e.line) <= len(p) {
		n += copy(p[n:], e.line)
	}
	if n == 0 {
		n = copy(p, e.line)
	}
	e.n += int64(n)
	return n, nil
}

// H-01, H-02, H-03, H-07 and their limits at n-1, n, n+1.
func TestHeaderAndLineLimits(t *testing.T) {
	limits := contentLimits{size: 1 << 30, line: 2000, header: 5000, field: 1000, fields: 20}
	type limitCase struct {
		name string
		data func(n int) string
		n    int // the limit
		want flaw
	}
	for _, c := range []limitCase{
		{"H-01 fields", func(n int) string { return strings.Repeat("A: b\r\n", n) + "\r\nx" }, 20, flawHeader},
		{"H-02 field", func(n int) string { return "S: " + strings.Repeat("x", n-5) + "\r\n\r\nx" }, 1000, flawHeader},
		{"H-02 field without body", func(n int) string { return "S: " + strings.Repeat("x", n-5) }, 1000, flawHeader},
		{"H-03 folds", func(n int) string {
			return "S: x\r\n" + strings.Repeat(" y\r\n", 200) + " " + strings.Repeat("z", n-6-800-3) + "\r\n\r\nx"
		}, 1000, flawHeader},
		{"header section", func(n int) string {
			one := "A: " + strings.Repeat("x", 495) + "\r\n" // 500
			return strings.Repeat(one, 9) + "A: " + strings.Repeat("y", n-4500-5) + "\r\n\r\nx"
		}, 5000, flawHeader},
		{"H-07 text line", func(n int) string { return "A: b\r\n\r\n" + strings.Repeat("x", n) }, 2000, flawTextLine},
	} {
		for _, off := range []int{-1, 0, 1} {
			want := sound
			if off > 0 {
				want = c.want
			}
			data := c.data(c.n+off) + "\r\n.\r\n"
			for _, list := range [][]string{{data}, strings.Split(data, "")} {
				got, d, _ := readAll(limits, list...)
				if d.flaw != want || !d.ended || want == sound && got+".\r\n" != data {
					t.Errorf("%s %+d: flaw %d, want %d", c.name, off, d.flaw, want)
				}
			}
		}
	}
}

// H-02, H-07: however long a line is, the reader holds one buffer.
func TestLongLineIsStreamed(t *testing.T) {
	limits := wide
	limits.line = 1 << 40
	limits.field, limits.header = 1<<40, 1<<40
	in := testInput(io.LimitReader(&endless{line: strings.Repeat("x", 1024)}, 40<<20))
	d := newContent(in, limits, in.read)
	allocs := testing.AllocsPerRun(1, func() { _, _ = io.CopyN(io.Discard, d, 8<<20) })
	if allocs > 10 {
		t.Errorf("%v allocations for 8 MiB of one line", allocs)
	}
}

// The body's Read and WriteTo give the same, whatever the size of the reads.
func TestReadGivesWhatWriteToGives(t *testing.T) {
	data := "a: b\r\n\r\n" + strings.Repeat("..dots\r\nplain line\r\n", 900) + ".\r\n"
	want, _, _ := readAll(wide, data)
	for _, size := range []int{1, 2, 3, 7, 4096} {
		in := testInput(strings.NewReader(data))
		d := newContent(in, wide, in.read)
		var got bytes.Buffer
		buf := make([]byte, size)
		for {
			n, err := d.Read(buf)
			got.Write(buf[:n])
			if err != nil {
				break
			}
		}
		if got.String() != want || d.err != io.EOF {
			t.Errorf("reads of %d: %d octets, want %d", size, got.Len(), len(want))
		}
	}
}

// A write error of the Session's own is not an end: the rest is still there to be drained.
func TestDrainAfterWriteError(t *testing.T) {
	in := testInput(strings.NewReader("a\r\nb\r\n.\r\nNOOP\r\n"))
	d := newContent(in, wide, in.read)
	if _, err := d.WriteTo(failing{}); err == nil {
		t.Fatal("no error")
	}
	d.drain()
	if !d.ended || string(in.pending()) != "NOOP\r\n" {
		t.Fatalf("ended %v, left %q", d.ended, in.pending())
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, fmt.Errorf("no room") }
