package mail

import (
	"bytes"
	"io"
)

// Memory is a Source that is all in memory. Parse does not copy it.
type Memory []byte

// Size is the number of bytes.
func (b Memory) Size() int64 { return int64(len(b)) }

// Bytes is the message itself; nobody may write to it.
func (b Memory) Bytes() []byte { return b }

// ReadAt implements io.ReaderAt.
func (b Memory) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= int64(len(b)) {
		return 0, io.EOF
	}
	n := copy(p, b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// inMemory is a Source whose bytes can be had without a copy, or nil if it is not in memory after all.
type inMemory interface{ Bytes() []byte }

const (
	smallSource = 1 << 20   // a Source up to this size is read whole
	window      = 256 << 10 // how much of a larger one is in memory at once while it is parsed
)

// A space is a run of bytes that spans point into: the Source itself, or what a part decoded to.
type space struct {
	data []byte // all of it, if src is nil
	src  Source // what must be read; nil if all is in data
	size int64
	step int64 // octets of a window
	base *Span // where in the Source the decoded part stands; nil for the Source itself
}

// open reads a small source whole and leaves a large one where it is. After an error the space is empty.
func (s *space) open(src Source) error {
	if m, ok := src.(inMemory); ok {
		if b := m.Bytes(); b != nil {
			*s = space{data: b, size: int64(len(b))}
			return nil
		}
	}
	*s = space{src: src, size: src.Size(), step: window}
	if s.size > smallSource {
		return nil
	}
	b, err := s.bytes(Span{0, s.size})
	if err != nil {
		*s = space{data: []byte{}}
		return err
	}
	*s = space{data: b, size: s.size}
	return nil
}

// bytes returns what stands in sp: a slice of the message if it is in memory, else a copy.
func (s *space) bytes(sp Span) ([]byte, error) {
	sp = s.clip(sp)
	if s.src == nil {
		return s.data[sp.Start:sp.End:sp.End], nil
	}
	if sp.Start == sp.End {
		return nil, nil
	}
	b := make([]byte, sp.End-sp.Start)
	n, err := s.src.ReadAt(b, sp.Start)
	if n == len(b) {
		return b, nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return b[:n], err
}

func (s *space) clip(sp Span) Span {
	sp.Start = min(max(sp.Start, 0), s.size)
	sp.End = min(max(sp.End, sp.Start), s.size)
	return sp
}

// place is where sp stands in the Source: itself, or the transmitted part that it was decoded from.
func (s *space) place(sp Span) Span {
	if s.base != nil {
		return *s.base
	}
	return sp
}

// windows calls see with the bytes of sp, in order: all at once if they are in memory, else by windows that begin
// again keep bytes before the last one's end. see returns false to stop.
func (s *space) windows(sp Span, keep int, see func(off int64, b []byte, last bool) bool) error {
	sp = s.clip(sp)
	if s.src == nil || sp.End-sp.Start <= s.step {
		b, err := s.bytes(sp)
		if err == nil {
			see(sp.Start, b, true)
		}
		return err
	}
	buf := make([]byte, s.step)
	for off := sp.Start; ; off += s.step - int64(keep) {
		n := min(s.step, sp.End-off)
		if m, err := s.src.ReadAt(buf[:n], off); int64(m) < n {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		last := off+n == sp.End
		if !see(off, buf[:n], last) || last {
			return nil
		}
	}
}

// A survey is what one look at every line of a space found.
type survey struct {
	crlf, lf, cr int   // line ends: CRLF, bare LF, and all CRs
	mixed        int64 // where the first line ends that ends unlike the first; -1 if all agree
	longest      int64
	marks        marks
}

// look surveys the whole space once.
func (s *space) look(v *survey) error {
	v.mixed = -1
	if s.src == nil {
		v.lines(s.data)
		return nil
	}
	var start int64 // of the current line
	wasCR := false  // the window before ended in CR
	err := s.windows(Span{0, s.size}, 0, func(off int64, b []byte, _ bool) bool {
		v.cr += bytes.Count(b, cr)
		for i := 0; i < len(b); {
			n := bytes.IndexByte(b[i:], '\n')
			if n < 0 {
				break
			}
			nl := i + n
			if nl > 0 {
				wasCR = b[nl-1] == '\r'
			}
			v.end(off+int64(nl), wasCR, off+int64(nl)-start)
			i = nl + 1
			start = off + int64(i)
		}
		wasCR = len(b) > 0 && b[len(b)-1] == '\r'
		return true
	})
	v.longest = max(v.longest, s.size-start)
	return err
}

var cr = []byte{'\r'}

// lines surveys a space that is in memory, and remembers what its lines begin with.
func (v *survey) lines(b []byte) {
	v.cr = bytes.Count(b, cr)
	start := 0
	for start < len(b) {
		line := b[start:]
		switch line[0] {
		case '-':
			v.marks.dash(start, line)
		case 'b', '=', '(':
			v.marks.other(start, line)
		}
		n := bytes.IndexByte(line, '\n')
		if n < 0 {
			break
		}
		v.end(int64(start+n), n > 0 && line[n-1] == '\r', int64(n))
		start += n + 1
	}
	v.longest = max(v.longest, int64(len(b)-start))
	v.marks.whole = v.cr == v.crlf && !v.marks.full
}

// end counts the end of a line that stands at at and is length octets long.
func (v *survey) end(at int64, crlf bool, length int64) {
	v.longest = max(v.longest, length)
	if crlf {
		v.crlf++
	} else {
		v.lf++
	}
	if v.mixed < 0 && v.crlf > 0 && v.lf > 0 {
		v.mixed = at
	}
}
