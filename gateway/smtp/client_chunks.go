package smtp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"
	"sync"
)

// chunkSize is the most bytes of one BDAT command. Nearly all mail is below it and goes out as one chunk, the last.
const chunkSize = 256 << 10

// maxOwed is how many chunks may wait for their reply where PIPELINING is offered; one where it is not.
const maxOwed = 2

// errChunk ends the writing of content of which the next hop has refused a chunk.
var errChunk = errors.New("next hop refused a chunk")

// chunkBuffers are the buffers of chunks that are being filled.
var chunkBuffers = sync.Pool{New: func() any { return new([chunkSize]byte) }}

// chunked reports whether content goes out by BDAT on this connection.
func (c *Client) chunked() bool { return c.opts.Chunking && c.ext.Chunking }

// chunks sends the content by BDAT (RFC 3030 section 2); the end of the last chunk is not flushed. The
// next hop has the message only once it has that chunk, which therefore goes out alone: after every other chunk was taken,
// and after the content came to a good end. refused is its reply if it did not take a chunk.
//
// The content is the same as DATA would carry, so that it does not matter to a signature which way a message went.
func (c *Client) chunks(t *Transaction, receipt *Receipt) (refused *Reply, err error) {
	buf := chunkBuffers.Get().(*[chunkSize]byte)
	defer chunkBuffers.Put(buf)
	w := &chunkWriter{c: c, chunk: buf[:0], last: '\n'}
	_, err = t.Content.WriteTo(w)
	if err == nil && w.last == '\r' {
		err = ErrContent
	}
	if err == nil && w.last != '\n' {
		_, err = w.Write([]byte("\r\n"))
	}
	for w.refused == nil && err == nil && w.owed > 0 {
		err = w.hear()
	}
	if w.refused != nil {
		return w.refused, w.rest()
	}
	if err != nil {
		return nil, err
	}
	receipt.Dotted = true // a large chunk does not wait for the flush
	return nil, w.put(w.chunk, " LAST")
}

// cut ends a transaction whose last chunk did not go out: the next hop cannot take it for whole.
func (c *Client) cut(receipt *Receipt, refused *Reply, err error) error {
	if refused == nil {
		return c.fail("content", err)
	}
	for i := range receipt.Rcpts {
		if receipt.Rcpts[i] == nil {
			receipt.Rcpts[i] = refusal(refused)
		}
	}
	// A next hop that does not know BDAT may have read content as commands, and one that says 421 is leaving.
	if err != nil || refused.Code == 421 || refused.Code/10 == 50 || refused.Code == 521 {
		c.abort()
		return nil
	}
	return c.reset()
}

// A chunkWriter cuts content into chunks. It refuses what ErrContent says before the last chunk.
type chunkWriter struct {
	c       *Client
	chunk   []byte // not sent yet; never empty once anything was written
	last    byte   // written; a LF before the first
	owed    int    // chunks sent whose reply is not read
	refused *Reply
}

// Write takes any piece of the content.
func (w *chunkWriter) Write(p []byte) (int, error) {
	if !w.sound(p) {
		return 0, ErrContent
	}
	for rest := p; len(rest) > 0; {
		if len(w.chunk) == chunkSize {
			if err := w.flush(); err != nil {
				return len(p) - len(rest), err
			}
		}
		n := min(len(rest), chunkSize-len(w.chunk))
		w.chunk = append(w.chunk, rest[:n]...)
		rest = rest[n:]
	}
	return len(p), nil
}

// sound reports whether p goes on from what was written without a NUL, a bare CR or a bare LF.
func (w *chunkWriter) sound(p []byte) bool {
	last := w.last
	for at := 0; at < len(p); {
		if last > '\r' && len(p)-at >= 8 && !anyControl(binary.LittleEndian.Uint64(p[at:])) {
			last = p[at+7]
			at += 8
			continue
		}
		b := p[at]
		if (last == '\r') != (b == '\n') || b == 0 {
			return false
		}
		last = b
		at++
	}
	w.last = last
	return true
}

// flush sends a full chunk up to its last line end, for some next hops do not see a line end that two chunks share; what is
// behind it begins the next. A line that is longer than a chunk is cut anywhere but between CR and LF.
func (w *chunkWriter) flush() error {
	end := len(w.chunk) - 1 // something must be left for the last chunk
	if w.chunk[end] == '\n' {
		end--
	}
	if at := bytes.LastIndex(w.chunk[:end], []byte("\r\n")); at >= 0 {
		end = at + 2
	}
	if err := w.put(w.chunk[:end], ""); err != nil {
		return err
	}
	if err := w.c.out.Flush(); err != nil {
		return err
	}
	w.chunk = w.chunk[:copy(w.chunk, w.chunk[end:])]
	w.owed++
	for w.owed >= maxOwed || w.owed > 0 && !w.c.ext.Pipelining {
		if err := w.hear(); err != nil {
			return err
		}
	}
	return nil
}

// put writes one command with its chunk.
func (w *chunkWriter) put(chunk []byte, last string) error {
	out := w.c.out
	out.WriteString("BDAT ")
	out.Write(strconv.AppendInt(out.AvailableBuffer(), int64(len(chunk)), 10))
	out.WriteString(last)
	out.WriteString("\r\n")
	_, err := out.Write(chunk) // an earlier error is kept by out
	return err
}

// hear reads the reply to a chunk.
func (w *chunkWriter) hear() error {
	if err := w.c.arm(w.c.opts.Deadlines.Block); err != nil {
		return err
	}
	r, err := readReply(w.c.in, nil)
	if err != nil {
		return err
	}
	if w.owed--; w.owed == 0 && w.c.in.Buffered() > 0 {
		return ErrOutOfStep
	}
	if r.Code/100 != 2 {
		w.refused = r
		return errChunk
	}
	return nil
}

// rest reads the replies that are still owed after a refusal; what they say does not matter any more.
func (w *chunkWriter) rest() error {
	for w.owed > 0 && w.refused.Code != 421 {
		refused := w.refused
		if err := w.hear(); err != nil && !errors.Is(err, errChunk) {
			return err
		}
		w.refused = refused
	}
	return nil
}
