package badsink

import (
	"bytes"
	"io"
	"strconv"
	"strings"
)

// chunks is what came by BDAT (RFC 3030) of one message so far.
type chunks struct {
	n       int
	content []byte
	refused bool // nothing more is taken of this message
}

// bdat takes one chunk. Its bytes are read whatever is said of it.
func (x *session) bdat(line string) error {
	size, last, ok := chunkSize(line)
	if !ok {
		return errEnd // where the next command begins nobody knows
	}
	if err := x.w.Flush(); err != nil {
		return err
	}
	wanted := len(x.rcpts) > 0 && !x.chunks.refused
	if size > 0 && wanted && x.chunks.n == 0 {
		if _, err := x.r.Peek(1); err != nil {
			return err
		}
		if err := x.step(Body, "", "", ""); err != nil {
			return err
		}
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(x.r, b); err != nil {
		return err
	}
	if !wanted {
		return x.step(Other, line, "", "503 5.5.1 no transaction to add this to")
	}
	x.chunks.n++
	if !x.sink.script.Discard {
		x.chunks.content = append(x.chunks.content, b...)
	}
	if !last {
		reply, err := x.ask(Chunk, line, "", "250 2.0.0 chunk taken")
		x.chunks.refused = err == nil && reply[0] != '2'
		return err
	}
	bare := bytes.ReplaceAll(x.chunks.content, []byte("\r\n"), nil)
	return x.end(Message{
		Session: x.n, Number: x.past, Helo: x.helo, From: x.from, Params: x.params, Rcpts: x.rcpts, Data: x.chunks.content, TLS: x.tls,
		Stray: bytes.ContainsAny(bare, "\r\n\x00"), Chunks: x.chunks.n,
	})
}

// chunkSize reads "BDAT 123 LAST".
func chunkSize(line string) (size int, last, ok bool) {
	f := strings.Fields(strings.ToUpper(line))
	if len(f) < 2 || len(f) > 3 || len(f) == 3 && f[2] != "LAST" {
		return 0, false, false
	}
	size, err := strconv.Atoi(f[1])
	return size, len(f) == 3, err == nil && size >= 0 && size <= 64<<20
}
