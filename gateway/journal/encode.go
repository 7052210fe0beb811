package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"gatepost/gateway/disk"
)

// An encoder turns records into checked lines (see package disk), with buffers that are used again. The zero value is
// ready and safe for concurrent use.
type encoder struct{ pool sync.Pool }

// lineBuffer is what one encoding needs.
type lineBuffer struct {
	json bytes.Buffer
	enc  *json.Encoder
	line []byte
}

// maxKept is the largest buffer that goes back to the pool.
const maxKept = 1 << 20

// encode makes the line of v, a struct; it is good until put is called with it.
func (e *encoder) encode(v any) (*lineBuffer, error) {
	b, ok := e.pool.Get().(*lineBuffer)
	if !ok {
		b = &lineBuffer{}
		b.enc = json.NewEncoder(&b.json)
		b.enc.SetEscapeHTML(false)
	}
	b.json.Reset()
	err := b.enc.Encode(v)
	if err == nil {
		object := bytes.TrimSuffix(b.json.Bytes(), []byte("\n"))
		b.line, err = disk.AppendLine(b.line[:0], object)
	}
	if err != nil {
		e.put(b)
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return b, nil
}

// put gives b back.
func (e *encoder) put(b *lineBuffer) {
	if b.json.Cap()+cap(b.line) <= maxKept {
		e.pool.Put(b)
	}
}

// ErrVersion means that a record was written by a version of the program that this one does not know.
var ErrVersion = errors.New("record of an unknown version")

// decode reads one checked line.
func decode(line []byte) (*Record, error) {
	if err := disk.CheckLine(line); err != nil {
		return nil, err
	}
	r := &Record{}
	if err := json.Unmarshal(line, r); err != nil {
		return nil, fmt.Errorf("decode record: %w", err)
	}
	if r.V < Version-1 || r.V > Version {
		return nil, fmt.Errorf("%w: %d", ErrVersion, r.V)
	}
	return r, nil
}
