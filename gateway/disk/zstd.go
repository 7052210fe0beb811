package disk

import (
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// A Codec compresses and expands with zstd, keeping its encoders and decoders for the next use. The zero value is
// ready and safe for concurrent use.
type Codec struct {
	writers sync.Pool // *zstd.Encoder
	readers sync.Pool // *zstd.Decoder
}

// maxWindow bounds the memory that a file can make its reader take.
const maxWindow = 1 << 20

// encoder takes an encoder from the pool or makes one.
func (c *Codec) encoder() (*zstd.Encoder, error) {
	if e, ok := c.writers.Get().(*zstd.Encoder); ok {
		return e, nil
	}
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(maxWindow))
}

// decoder takes a decoder from the pool or makes one.
func (c *Codec) decoder() (*zstd.Decoder, error) {
	if d, ok := c.readers.Get().(*zstd.Decoder); ok {
		return d, nil
	}
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(256<<20),
		zstd.WithDecodeAllCapLimit(true))
}

// Append appends src to dst as one compressed frame.
func (c *Codec) Append(dst, src []byte) ([]byte, error) {
	e, err := c.encoder()
	if err != nil {
		return dst, fmt.Errorf("make encoder: %w", err)
	}
	defer c.writers.Put(e)
	return e.EncodeAll(src, dst), nil
}

// Compress copies r to w as one compressed frame.
func (c *Codec) Compress(w io.Writer, r io.Reader) error {
	e, err := c.encoder()
	if err != nil {
		return fmt.Errorf("make encoder: %w", err)
	}
	defer func() {
		e.Reset(nil)
		c.writers.Put(e)
	}()
	e.Reset(w)
	if _, err := e.ReadFrom(r); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	if err := e.Close(); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	return nil
}

// Expand gives read the content of the frames of r. The reader is only good until read returns.
func (c *Codec) Expand(r io.Reader, read func(io.Reader) error) error {
	d, err := c.decoder()
	if err != nil {
		return fmt.Errorf("make decoder: %w", err)
	}
	defer func() {
		if d.Reset(nil) == nil {
			c.readers.Put(d)
		}
	}()
	if err := d.Reset(r); err != nil {
		return fmt.Errorf("expand: %w", err)
	}
	return read(d)
}

// ExpandFrame is the content of src, one frame as Append makes them, if that is at most max bytes.
func (c *Codec) ExpandFrame(src []byte, max int64) ([]byte, error) {
	var h zstd.Header
	if err := h.Decode(src); err != nil {
		return nil, fmt.Errorf("expand: %w", err)
	}
	size := h.FrameContentSize
	if !h.HasFCS {
		size = 255 // encoders leave the size out of shorter frames only
	}
	if size > uint64(max) {
		return nil, fmt.Errorf("expand: %d bytes are more than %d", size, max)
	}
	d, err := c.decoder()
	if err != nil {
		return nil, fmt.Errorf("make decoder: %w", err)
	}
	defer c.readers.Put(d)
	out, err := d.DecodeAll(src, make([]byte, 0, size)) // never more than the capacity
	if err != nil {
		return nil, fmt.Errorf("expand: %w", err)
	}
	return out, nil
}
