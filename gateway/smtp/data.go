package smtp

import (
	"bytes"
	"errors"
	"io"
)

// A flaw is what is wrong with a message's content, for which the server refuses it by itself. A greater one is the
// graver and stays when several are found.
type flaw int

const (
	sound flaw = iota
	flawHeader
	flawTextLine
	flawSize
	flawNUL
	flawBareCR
	flawBareLF
)

// flaws says how each flaw is counted and named to the Session that reads the content.
var flaws = [...]struct {
	event Event
	err   error
}{
	flawHeader:   {EventHeaderLimit, errors.New("message header beyond the limits")},
	flawTextLine: {EventTextLine, errors.New("text line beyond the limit")},
	flawSize:     {EventSizeLimit, errors.New("message beyond the size limit")},
	flawNUL:      {EventNUL, errors.New("NUL in message")},
	flawBareCR:   {EventBareCR, errors.New("bare CR in message")},
	flawBareLF:   {EventBareLF, errors.New("bare LF in message")},
}

// reply is the server's own final reply for a flaw.
func (f flaw) reply() *Reply {
	switch f {
	case flawHeader:
		return ReplyHeaderTooLarge()
	case flawTextLine:
		return ReplyTextLine()
	case flawSize:
		return ReplyTooLarge()
	case flawNUL:
		return ReplyNUL()
	}
	return ReplyLineEnds()
}

// errEndless is found when flawed content does not end within the bound for reading on.
var errEndless = errors.New("message does not end")

// crlf is what a bare LF becomes for an exempted network.
var crlf = []byte("\r\n")

// contentLimits are the limits of one message's content.
type contentLimits struct {
	size        int64 // without the dots of transparency and the final dot
	line        int64
	header      int64
	field       int64
	fields      int
	normalizeLF bool
}

// content reads one message's content from an input up to CRLF "." CRLF, and to nothing else (RFC 5321 sections
// 4.1.1.4 and 4.5.2). Dots are unstuffed. Where it finds a flaw it gives out no more, reads on to the real end within
// a bound, and then fails; so the connection is in step whenever ended is true, and lost whenever it is not.
//
// It is an io.Reader and an io.WriterTo; WriteTo hands out whole runs of the input's buffer without copying them.
type content struct {
	in     *input
	more   func() error // reads into in; called only when in has nothing that could be used
	limits contentLimits

	rest   []byte // given out by next, not yet taken by Read
	err    error  // what every further read returns; io.EOF after sound content
	flaw   flaw   // the gravest flaw so far
	ended  bool   // the final dot was read
	fixed  int64  // bare LF made CRLF
	raw    int64  // octets consumed
	size   int64  // octets of content
	onEnd  func() // called once when reading ends, whichever way
	strict bool   // at the start of a line after CRLF: a dot means something here
	line   int64  // octets of the line so far

	inHeader bool
	header   int64 // octets of the header section so far
	field    int64 // octets of the current field so far
	fields   int
}

// newContent reads a message from in.
func newContent(in *input, limits contentLimits, more func() error) *content {
	return &content{in: in, more: more, limits: limits, strict: true, inHeader: true}
}

// Read gives the content as it comes.
func (d *content) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(d.rest) == 0 {
		var err error
		if d.rest, err = d.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

// WriteTo gives all content to w. It returns nil at the end of sound content, like io.Copy.
func (d *content) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		run := d.rest
		if len(run) == 0 {
			var err error
			if run, err = d.next(); err == io.EOF {
				return total, nil
			} else if err != nil {
				return total, err
			}
		}
		n, err := w.Write(run)
		total += int64(n)
		d.rest = run[n:]
		if err != nil {
			return total, err
		}
		if len(d.rest) > 0 {
			return total, io.ErrShortWrite
		}
	}
}

// drain reads to the end without giving out anything.
func (d *content) drain() {
	d.rest = nil
	for d.err == nil {
		_, _ = d.next()
	}
}

// next returns the next run of content; it is valid until the next call. It never returns an empty run without an
// error.
func (d *content) next() ([]byte, error) {
	for d.err == nil {
		b := d.in.pending()
		if d.strict && len(b) > 0 && b[0] == '.' {
			switch {
			case len(b) == 1, len(b) == 2 && b[1] == '\r':
				d.read()
				continue
			case b[1] == '\r' && b[2] == '\n':
				d.consume(3)
				d.end()
				continue
			}
			d.consume(1) // a dot with more behind it is there for transparency
			d.strict = false
			continue
		}
		run, lf := d.scan(b)
		if d.size > d.limits.size {
			d.blame(flawSize)
		}
		d.consume(len(run))
		if lf { // a bare LF follows, to be made CRLF
			if len(run) > 0 && d.flaw == sound {
				return run, nil
			}
			d.fixLF()
			if d.flaw == sound {
				return crlf, nil
			}
			continue
		}
		if d.flaw == sound && len(run) > 0 {
			return run, nil
		}
		if len(run) == 0 {
			d.read()
		}
	}
	return nil, d.err
}

// scan returns the run at the start of b that can be given out as it stands, and takes note of its lines: it ends
// before a dot that means something, before a bare LF to be made CRLF (then lf is true), before a CR whose next octet
// is not there yet, and at the end of b.
func (d *content) scan(b []byte) (run []byte, lf bool) {
	pos := 0
	for pos < len(b) {
		if d.strict && b[pos] == '.' {
			break
		}
		line := b[pos:]
		i := bytes.IndexByte(line, '\n')
		if i < 0 {
			if line[len(line)-1] == '\r' {
				line = line[:len(line)-1]
			}
			if len(line) > 0 {
				d.text(line)
				d.strict = false
				pos += len(line)
			}
			break
		}
		if i > 0 && line[i-1] == '\r' {
			if i > 1 {
				d.text(line[:i-1])
			}
			d.lineEnd()
			d.strict = true
			pos += i + 1
			continue
		}
		if d.limits.normalizeLF {
			if i > 0 {
				d.text(line[:i])
				d.strict = false
			}
			return b[:pos+i], true
		}
		d.blame(flawBareLF)
		d.strict = false
		d.line = 0
		pos += i + 1
	}
	return b[:pos], false
}

// text takes note of a piece of a line without its line end.
func (d *content) text(piece []byte) {
	if bytes.IndexByte(piece, '\r') >= 0 {
		d.blame(flawBareCR)
	}
	if bytes.IndexByte(piece, 0) >= 0 {
		d.blame(flawNUL)
	}
	n := int64(len(piece))
	if d.inHeader {
		d.headerText(piece[0], n)
	}
	d.size += n
	if d.line += n; d.line > d.limits.line {
		d.blame(flawTextLine)
	}
}

// headerText takes note of a piece of a line of the header section; first is its first octet, n its length.
func (d *content) headerText(first byte, n int64) {
	if d.line == 0 && first != ' ' && first != '\t' {
		d.fields++
		d.field = 0
	}
	d.headerOctets(n)
}

// headerOctets counts n octets of the header section and its current field.
func (d *content) headerOctets(n int64) {
	d.header += n
	d.field += n
	if d.header > d.limits.header || d.field > d.limits.field || d.fields > d.limits.fields {
		d.blame(flawHeader)
	}
}

// lineEnd takes note of a line's end.
func (d *content) lineEnd() {
	d.size += int64(len(crlf))
	if d.inHeader = d.inHeader && d.line > 0; d.inHeader { // an empty line ends the header section, and nothing else does
		d.headerOctets(int64(len(crlf)))
	}
	d.line = 0
}

// fixLF consumes a bare LF that is given out as CRLF. A dot behind it means nothing: only CRLF makes a line in which
// the protocol has a say, so that no end of data can come of it.
func (d *content) fixLF() {
	d.consume(1)
	d.fixed++
	d.lineEnd()
	d.strict = false
	if d.size > d.limits.size {
		d.blame(flawSize)
	}
}

// consume takes n octets from the input. Flawed content is read on within a bound: twice the size limit, and at least
// 64 KiB more than that for the lines around it.
func (d *content) consume(n int) {
	d.in.discard(n)
	d.raw += int64(n)
	if d.raw > 2*d.limits.size+bigBuffer {
		d.blame(flawSize)
		d.fail(errEndless)
	}
}

// blame takes note of a flaw.
func (d *content) blame(f flaw) { d.flaw = max(d.flaw, f) }

// read gets more input, or fails.
func (d *content) read() {
	if err := d.more(); err != nil {
		d.fail(err)
	}
}

// end is the final dot.
func (d *content) end() {
	d.ended = true
	if d.flaw != sound {
		d.fail(flaws[d.flaw].err)
		return
	}
	d.fail(io.EOF)
}

// fail ends reading.
func (d *content) fail(err error) {
	if d.err != nil {
		return
	}
	if err == io.EOF && !d.ended {
		err = io.ErrUnexpectedEOF
	}
	d.err = err
	if d.onEnd != nil {
		d.onEnd()
	}
}
