package forward

import (
	"bytes"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"gatepost/filters/mail"
)

type shown struct {
	*bytes.Reader
	b []byte
}

func (s shown) Bytes() []byte { return s.b }

func TestEditsChangeNothingElse(t *testing.T) { // P-06
	for range 300 {
		b := make([]byte, rand.IntN(200_000))
		for i := range b {
			b[i] = byte(i * 7)
		}
		e := Edits{Add: strings.Repeat("A", rand.IntN(3))}
		want := []byte(e.Add)
		at := 0
		for at < len(b) {
			keep, drop := rand.IntN(len(b)-at+1), 0
			want = append(want, b[at:at+keep]...)
			at += keep
			if at < len(b) {
				drop = rand.IntN(len(b) - at + 1)
				e.Drop = append(e.Drop, mail.Span{Start: int64(at), End: int64(at + drop)})
				at += drop
			}
		}
		sources := []mail.Source{bytes.NewReader(b), shown{bytes.NewReader(b), b}}
		for _, src := range sources {
			got, err := io.ReadAll(e.Reader(src))
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("Reader: %d bytes of %d, %v", len(got), len(want), err)
			}
			var w bytes.Buffer
			m := &edited{Edits: e, src: src, sum: sha256.Sum256(b)}
			n, err := m.WriteTo(&w)
			if err != nil || n != int64(len(want)) || !bytes.Equal(w.Bytes(), want) || e.Size(src) != n {
				t.Fatalf("WriteTo: %d bytes of %d, Size %d, %v", n, len(want), e.Size(src), err)
			}
		}
	}
}

func TestWrongSpansDoNotHurt(t *testing.T) {
	e := Edits{Drop: []mail.Span{{Start: 2, End: 100}, {Start: 1, End: 1}, {Start: 500, End: 400}}}
	got, err := io.ReadAll(e.Reader(strings.NewReader("abcd")))
	if err != nil || string(got) != "ab" {
		t.Errorf("%q, %v", got, err)
	}
}
