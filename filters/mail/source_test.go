package mail

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"testing"
)

// dump is everything that a parse found, for comparing.
func dump(m *Message) string {
	var b strings.Builder
	fmt.Fprintln(&b, m.Err(), m.HeaderSpan(), m.BodySpan(), m.Subject(), m.MessageID(), m.Date(), m.Authors())
	for _, f := range m.Header {
		fmt.Fprintln(&b, f)
	}
	for _, d := range m.Defects {
		fmt.Fprintln(&b, d.Code, d.Span)
	}
	b.WriteString(outline(m.Root, ""))
	for p := range m.Parts() {
		for _, r := range p.Decoded() {
			fmt.Fprintf(&b, "%s %s %d %x\n", p.Path(), r.How, len(r.Data), r.Data[:min(len(r.Data), 64)])
		}
	}
	return b.String()
}

// slow is a Source that is not in memory.
type slow struct{ *bytes.Reader }

// A message is read alike from memory, from a small Source, and by windows from a large one.
func TestSourcesAreReadAlike(t *testing.T) {
	n := 0
	messages(t, corpora(t, "mime-corpus"), func(name string, data []byte) {
		data = crlf(data)
		want := dump(Parse(Memory(data)))
		if got := dump(Parse(slow{bytes.NewReader(data)})); got != want {
			t.Errorf("%s differs when copied", name)
		}
		m := newMessage(slow{bytes.NewReader(data)})
		m.parse(&space{src: m.Source, size: int64(len(data)), step: 4096})
		if got := dump(&m.Message); got != want {
			t.Errorf("%s differs when read by windows:\n%s\nnot\n%s", name, got, want)
		}
		n++
	}, ".eml", ".raw")
	if n < 200 {
		t.Errorf("only %d messages", n)
	}
}

// A Source in memory is not copied: what Bytes and Decoded return is the Source's own.
func TestSourceInMemoryIsNotCopied(t *testing.T) {
	data := wire("From: a@b.example\n\nhello\n")
	m := Parse(data)
	if b := m.Bytes(m.BodySpan()); &b[0] != &data[m.BodySpan().Start] {
		t.Error("Bytes copies")
	}
	if r := m.Root.Decoded(); len(r) != 1 || &r[0].Data[0] != &data[m.BodySpan().Start] {
		t.Error("Decoded copies what is not encoded")
	}
}

type broken struct{ size int64 }

func (b broken) Size() int64 { return b.size }
func (b broken) ReadAt(p []byte, off int64) (int, error) {
	return 0, errors.New("disk is on fire")
}

// Whoever cannot read the message must not judge it: the error is kept, and it is a defect that is never clean.
func TestUnreadableSourceIsNotClean(t *testing.T) {
	for _, size := range []int64{100, smallSource + 1} {
		m := Parse(broken{size})
		if m.Err() == nil || worst(m) == Note {
			t.Errorf("size %d: %v, %v", size, m.Err(), codes(m))
		}
	}
	m := Parse(slow{bytes.NewReader(make([]byte, 10))})
	if m.Err() != nil {
		t.Error(m.Err())
	}
}

// Many filters read one Message at once.
func TestMessageIsSafeForConcurrentReaders(t *testing.T) {
	data := wire("From: a@b.example\n" + multi("boundary=b") + "--b\nContent-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n<a href=3D\"http://x.example/\">y</a>\n" + part("b") + "--b--\n")
	want := dump(Parse(data))
	m := Parse(data)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if dump(m) != want || m.Text() != "y" || len(m.Links()) != 1 {
				t.Error("a reader saw something else")
			}
		})
	}
	wg.Wait()
}

func TestMemoryIsASource(t *testing.T) {
	b := Memory("hello")
	got, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	if err != nil || !reflect.DeepEqual(got, []byte("hello")) {
		t.Error(got, err)
	}
	if _, err := b.ReadAt(got, 6); err != io.EOF {
		t.Error(err)
	}
}
