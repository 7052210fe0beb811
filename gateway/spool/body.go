package spool

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync/atomic"

	"gatepost/gateway/failpoint"
)

// A Body is the content of one message. It is a mail.Source: its bytes never change, and ReadAt may be called
// concurrently.
//
// Who got it from Receive owns it, and only the owner calls Close, once nobody reads any more: a filter that outlived
// its deadline may still be reading, so wait for the channel of filters.Chain.Run first. After Close the memory
// belongs to the next message.
type Body struct {
	spool  *Spool
	buf    *buffer // in memory
	used   int     // bytes of buf
	file   *os.File
	chunk  *chunk // being written to file
	digest hash.Hash
	size   int64
	sum    [sha256.Size]byte
	sealed bool
	closed atomic.Bool
}

// A buffer is pooled memory; class is its index in classSizes.
type buffer struct {
	class int
	b     []byte
}

const chunkSize = 32 << 10

// A chunk gathers small writes before they go to a file.
type chunk struct {
	n int
	b [chunkSize]byte
}

// Size is the length in bytes.
func (b *Body) Size() int64 { return b.size }

// Sum is the SHA-256 of the content.
func (b *Body) Sum() [sha256.Size]byte { return b.sum }

// Bytes is the content if it is in memory, else nil. It must not be modified, and not be used after Close.
func (b *Body) Bytes() []byte {
	if b.file != nil {
		return nil
	}
	return b.bytes()
}

// bytes is what the buffer holds; never nil, so that empty content is not taken for a file.
func (b *Body) bytes() []byte {
	if b.buf == nil {
		return []byte{}
	}
	return b.buf.b[:b.used:b.used]
}

// ReadAt reads as io.ReaderAt says.
func (b *Body) ReadAt(p []byte, off int64) (int, error) {
	if b.closed.Load() {
		return 0, os.ErrClosed
	}
	if b.file != nil {
		return b.file.ReadAt(p, off)
	}
	if off < 0 {
		return 0, errors.New("read before the beginning")
	}
	if off >= b.size {
		return 0, io.EOF
	}
	n := copy(p, b.bytes()[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Close gives memory and file back. Calls after the first do nothing.
func (b *Body) Close() error {
	if b.closed.Swap(true) {
		return nil
	}
	b.spool.bodies.Add(-1)
	b.release()
	b.dropChunk()
	if b.file == nil {
		return nil
	}
	b.spool.disk.Add(-b.size)
	if err := b.file.Close(); err != nil {
		return fmt.Errorf("close spool file: %w", err)
	}
	return nil
}

// Write takes in the next bytes while the message is being received; io.WriterTo readers call it.
func (b *Body) Write(p []byte) (int, error) {
	if b.sealed {
		return 0, errors.New("write to a received message")
	}
	if err := b.hit(); err != nil {
		return 0, err
	}
	if b.file == nil {
		if b.reserve(int64(b.used + len(p))) {
			b.used += copy(b.buf.b[b.used:], p)
			b.size += int64(len(p))
			return len(p), nil
		}
		if err := b.spill(); err != nil {
			return 0, err
		}
	}
	return len(p), b.gather(p)
}

// hit is where a test interferes with what is taken in.
func (b *Body) hit() error {
	p := failpoint.FirstByte
	if b.size > 0 {
		p = failpoint.MoreBytes
	}
	if err := failpoint.Hit(p); err != nil {
		return b.spool.failed(err)
	}
	return nil
}

// reserve makes room in memory for n bytes in all, or reports that they must go to a file: too long, or the memory
// of the process is used up.
func (b *Body) reserve(n int64) bool {
	if b.buf != nil && n <= int64(len(b.buf.b)) {
		return n <= int64(b.spool.cfg.InMemory)
	}
	if n > int64(b.spool.cfg.InMemory) {
		return false
	}
	next := b.spool.buffer(int(n))
	if next == nil {
		return false
	}
	old := b.buf
	if old != nil {
		copy(next.b, old.b[:b.used])
		b.release()
	}
	b.buf = next
	return true
}

// buffer takes a buffer of at least n bytes from the pool, or nil if the budget does not allow it.
func (s *Spool) buffer(n int) *buffer {
	class := 0
	for n > classSizes[class] {
		class++
	}
	size := int64(classSizes[class])
	if s.memory.Add(size) > s.most.Load() {
		s.memory.Add(-size)
		return nil
	}
	if b, ok := s.classes[class].Get().(*buffer); ok {
		return b
	}
	return &buffer{class: class, b: make([]byte, size)}
}

// release gives the buffer back.
func (b *Body) release() {
	if b.buf == nil {
		return
	}
	b.spool.memory.Add(-int64(len(b.buf.b)))
	b.spool.classes[b.buf.class].Put(b.buf)
	b.buf = nil
}

// readFrom reads r straight into the buffer, and beyond that into the chunk for the file.
func (b *Body) readFrom(r io.Reader) error {
	for empty := 0; empty < 100; {
		room, err := b.room()
		if err != nil {
			return err
		}
		n, rerr := r.Read(room)
		if err := b.took(n); err != nil {
			return err
		}
		switch {
		case rerr == io.EOF:
			return nil
		case rerr != nil:
			return rerr
		case n == 0:
			empty++
		default:
			empty = 0
		}
	}
	return io.ErrNoProgress
}

// room is where the next bytes may be read to; it is never empty.
func (b *Body) room() ([]byte, error) {
	if b.file == nil {
		if b.reserve(int64(b.used + 1)) {
			return b.buf.b[b.used:min(len(b.buf.b), b.spool.cfg.InMemory)], nil
		}
		if err := b.spill(); err != nil {
			return nil, err
		}
	}
	if b.chunk.n == len(b.chunk.b) {
		if err := b.flush(); err != nil {
			return nil, err
		}
	}
	return b.chunk.b[b.chunk.n:], nil
}

// took counts bytes that were read into room.
func (b *Body) took(n int) error {
	if err := b.hit(); err != nil {
		return err
	}
	if b.file == nil {
		b.used += n
		b.size += int64(n)
		return nil
	}
	if err := b.budget(n); err != nil {
		return err
	}
	b.chunk.n += n
	return nil
}

// spill moves what there is to a file. The file has no name: it ends with the process.
func (b *Body) spill() error {
	f, err := os.CreateTemp(b.spool.cfg.Dir, "body-")
	if err != nil {
		return b.spool.failed(err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return b.spool.failed(errors.Join(err, f.Close()))
	}
	held := b.bytes()
	b.file, b.digest, b.size = f, sha256.New(), 0
	b.takeChunk()
	if err := b.gather(held); err != nil {
		return err
	}
	b.release()
	b.used = 0
	return nil
}

// gather takes bytes toward the file.
func (b *Body) gather(p []byte) error {
	if err := b.budget(len(p)); err != nil {
		return err
	}
	for len(p) > 0 {
		if b.chunk.n == len(b.chunk.b) {
			if err := b.flush(); err != nil {
				return err
			}
		}
		n := copy(b.chunk.b[b.chunk.n:], p)
		b.chunk.n += n
		p = p[n:]
	}
	return nil
}

// budget counts n more bytes on disk.
func (b *Body) budget(n int) error {
	b.size += int64(n)
	if b.spool.disk.Add(int64(n)) > b.spool.cfg.Disk {
		return ErrFull
	}
	return nil
}

// flush writes the chunk to the file.
func (b *Body) flush() error {
	if b.file == nil || b.chunk.n == 0 {
		return nil
	}
	held := b.chunk.b[:b.chunk.n]
	if _, err := b.file.Write(held); err != nil {
		return b.spool.failed(err)
	}
	b.digest.Write(held)
	b.chunk.n = 0
	return nil
}

// takeChunk takes a chunk from the pool. It counts as memory, but those that have begun are not refused for it.
func (b *Body) takeChunk() {
	c, ok := b.spool.chunks.Get().(*chunk)
	if !ok {
		c = &chunk{}
	}
	c.n, b.chunk = 0, c
	b.spool.memory.Add(chunkSize)
}

// dropChunk gives the chunk back.
func (b *Body) dropChunk() {
	if b.chunk != nil {
		b.spool.memory.Add(-chunkSize)
		b.spool.chunks.Put(b.chunk)
		b.chunk = nil
	}
}

// failed notes a failure of the disk.
func (s *Spool) failed(err error) error {
	return fmt.Errorf("%w: %w", ErrStorage, s.trouble.Note(err))
}
