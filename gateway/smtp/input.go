package smtp

import (
	"io"
	"sync"
)

const (
	smallBuffer = 4 << 10  // what an idle session costs
	bigBuffer   = 64 << 10 // what a client earns that fills the small one
)

// buffers are what connections read into, used again once a connection has ended. The zero value is ready.
type buffers struct{ small, big sync.Pool }

func (b *buffers) takeSmall() *[smallBuffer]byte {
	if s, ok := b.small.Get().(*[smallBuffer]byte); ok {
		return s
	}
	return new([smallBuffer]byte)
}

func (b *buffers) takeBig() *[bigBuffer]byte {
	if s, ok := b.big.Get().(*[bigBuffer]byte); ok {
		return s
	}
	return new([bigBuffer]byte)
}

// An input is the buffered incoming side of a connection. A read that fills the small buffer earns a big one from
// the pool; a read that would have fitted the small one gives it back. So 10,000 idle or slow clients cost 4 KiB each,
// and a fast one reads 64 KiB at a time.
type input struct {
	src   io.Reader
	pool  *buffers
	small *[smallBuffer]byte
	big   *[bigBuffer]byte
	buf   []byte // all of small or of big
	r, w  int    // buf[r:w] is unread
	full  bool   // the last read left no room
}

// pending is what was read and not consumed; it is valid until the next read.
func (in *input) pending() []byte { return in.buf[in.r:in.w] }

// buffered is the length of pending.
func (in *input) buffered() int { return in.w - in.r }

// discard consumes n bytes of pending.
func (in *input) discard(n int) { in.r += n }

// read reads once from the source, behind what is pending. The caller keeps pending well below the small buffer's size.
func (in *input) read() error {
	in.makeRoom()
	for range 16 {
		n, err := in.src.Read(in.buf[in.w:])
		if n > 0 {
			in.w += n
			in.full = in.w == len(in.buf)
			return nil // an error that came with bytes comes again
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// makeRoom chooses the buffer and moves what is pending to its start.
func (in *input) makeRoom() {
	last, n := in.w, in.buffered()
	old := in.buf
	switch {
	case in.buf == nil:
		in.small = in.pool.takeSmall()
		in.buf = in.small[:]
	case in.big == nil && in.full:
		in.big = in.pool.takeBig()
		in.buf = in.big[:]
	case in.big != nil && last < smallBuffer && n < smallBuffer/2:
		in.buf = in.small[:]
	}
	if in.r > 0 || len(old) != len(in.buf) {
		copy(in.buf, old[in.r:in.w])
		in.r, in.w = 0, n
	}
	if in.big != nil && len(in.buf) == smallBuffer {
		in.pool.big.Put(in.big)
		in.big = nil
	}
	in.full = false
}

// reset forgets what is pending and reads from src from now on.
func (in *input) reset(src io.Reader) {
	in.src, in.r, in.w, in.full = src, 0, 0, false
}

// release gives the buffers back: nothing is read any more, and nothing pending is used.
func (in *input) release() {
	if in.big != nil {
		in.pool.big.Put(in.big)
	}
	if in.small != nil {
		in.pool.small.Put(in.small)
	}
	in.small, in.big, in.buf, in.r, in.w = nil, nil, nil, 0, 0
}
