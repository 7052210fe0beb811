package forward

import (
	"crypto/sha256"
	"errors"
	"io"
	"sync"

	"gatepost/filters/mail"
)

// Edits are all that is ever changed in a message: spans left out, and text put before it. The source itself is
// not touched, so every other byte arrives as it came.
type Edits struct {
	Drop []mail.Span // in order, without overlap
	Add  string      // whole header fields with CRLF line ends, put first
}

// ErrChanged is the cause when the source is not, byte for byte, what was scanned (see Delivery.Sum).
var ErrChanged = errors.New("content is not what was scanned")

// Reader yields the message with the edits made.
func (e Edits) Reader(src mail.Source) io.Reader {
	parts := []io.Reader{stringReader(e.Add)}
	for s := range e.kept(src.Size()) {
		parts = append(parts, io.NewSectionReader(src, s.Start, s.End-s.Start))
	}
	return io.MultiReader(parts...)
}

// Size is the number of bytes that Reader yields.
func (e Edits) Size(src mail.Source) int64 {
	n := int64(len(e.Add))
	for s := range e.kept(src.Size()) {
		n += s.End - s.Start
	}
	return n
}

// kept yields the spans of a source of the given size that are not dropped, none of them empty.
func (e Edits) kept(size int64) func(yield func(mail.Span) bool) {
	return func(yield func(mail.Span) bool) {
		at := int64(0)
		for _, d := range e.Drop {
			if end := min(d.Start, size); at < end && !yield(mail.Span{Start: at, End: end}) {
				return
			}
			at = max(at, d.End)
		}
		if at < size {
			yield(mail.Span{Start: at, End: size})
		}
	}
}

// An edited message writes itself. A source that is in memory is not copied: if it has a method Bytes() []byte, slices of
// that are written.
type edited struct {
	Edits
	src mail.Source
	sum [sha256.Size]byte // zero: not checked
}

// WriteTo writes the message with its edits. If there is a sum, the whole source is hashed on the way, and ErrChanged is
// returned, before the last bytes are written, if it is another.
func (m *edited) WriteTo(w io.Writer) (int64, error) {
	if held, ok := m.src.(interface{ Bytes() []byte }); ok {
		if b := held.Bytes(); b != nil { // nil: it is in a file after all
			return m.fromMemory(w, b)
		}
	}
	return m.fromSource(w)
}

func (m *edited) fromMemory(w io.Writer, b []byte) (int64, error) {
	if m.checked() && sha256.Sum256(b) != m.sum {
		return 0, ErrChanged
	}
	n, err := io.WriteString(w, m.Add)
	total := int64(n)
	for s := range m.kept(int64(len(b))) {
		if err != nil {
			break
		}
		n, err = w.Write(b[s.Start:s.End])
		total += int64(n)
	}
	return total, err
}

var blocks = sync.Pool{New: func() any { return new([64 << 10]byte) }}

func (m *edited) fromSource(w io.Writer) (int64, error) {
	block := blocks.Get().(*[64 << 10]byte)
	defer blocks.Put(block)
	hash := sha256.New()
	n, err := io.WriteString(w, m.Add)
	total := int64(n)
	size := m.src.Size()
	for at := int64(0); at < size && err == nil; {
		b := block[:min(size-at, int64(len(block)))]
		if _, err := m.src.ReadAt(b, at); err != nil && err != io.EOF {
			return total, err
		}
		end := at + int64(len(b))
		if m.checked() {
			if hash.Write(b); end == size && [sha256.Size]byte(hash.Sum(nil)) != m.sum {
				return total, ErrChanged
			}
		}
		for s := range m.kept(size) {
			from, to := max(s.Start, at), min(s.End, end)
			if from < to && err == nil {
				n, err = w.Write(b[from-at : to-at])
				total += int64(n)
			}
		}
		at = end
	}
	return total, err
}

func (m *edited) checked() bool { return m.sum != [sha256.Size]byte{} }
