package mail

import (
	"bytes"
	"strconv"
)

// An embedded is a file found inside a body by its own encoding.
type embedded struct {
	name   string
	kind   string // media type, if its container names one
	data   []byte
	broken bool // its end is missing, or a line is not as long as it says
}

// nextLine cuts the first line off b, without its line end.
func nextLine(b []byte) (line, rest []byte) {
	n := bytes.IndexByte(b, '\n')
	if n < 0 {
		return b, nil
	}
	line = b[:n]
	if n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, b[n+1:]
}

// decodeUU reads the first uuencoded file of b (POSIX uuencode, also with base64) and returns how much of b it took.
func decodeUU(b []byte) (f embedded, size int, ok bool) {
	rest := b
	for {
		if len(rest) == 0 {
			return f, 0, false
		}
		var line []byte
		line, rest = nextLine(rest)
		if bytes.HasPrefix(line, uuBegin) && isUUBegin(append(line[:len(line):len(line)], '\n')) {
			parts := bytes.SplitN(line, []byte{' '}, 3)
			f.name = string(parts[2])
			if bytes.HasPrefix(line, []byte("begin-base64")) {
				return uuBase64(f, b, rest)
			}
			break
		}
	}
	f.broken = true
	for len(rest) > 0 {
		var line []byte
		line, rest = nextLine(rest)
		if string(bytes.TrimRight(line, " \t")) == "end" {
			f.broken = false
			break
		}
		var good bool
		if f.data, good = uuLine(f.data, line); !good {
			return f, len(b) - len(rest), len(f.data) > 0
		}
	}
	return f, len(b) - len(rest), true
}

// uuLine decodes one line: a length and groups of four characters. Mail loses trailing blanks, which stand for zero.
func uuLine(dst, line []byte) ([]byte, bool) {
	if len(line) == 0 {
		return dst, true
	}
	if line[0] < ' ' || line[0] > '`' {
		return dst, false
	}
	n := int(line[0]-' ') & 63
	if len(line) > 1+(n+2)/3*4+2 || len(line) < 2 && n > 0 {
		return dst, n == 0
	}
	at := func(i int) uint32 {
		if i >= len(line) || line[i] < ' ' || line[i] > '`' {
			return 0
		}
		return uint32(line[i]-' ') & 63
	}
	for i := 1; n > 0 && i < len(line); i, n = i+4, n-3 { // what is not there at all is not made up: lines must not grow
		g := at(i)<<18 | at(i+1)<<12 | at(i+2)<<6 | at(i+3)
		group := [3]byte{byte(g >> 16), byte(g >> 8), byte(g)}
		dst = append(dst, group[:min(n, 3)]...)
	}
	return dst, true
}

func uuBase64(f embedded, b, rest []byte) (embedded, int, bool) {
	end := bytes.Index(rest, []byte("===="))
	if end < 0 {
		end, f.broken = len(rest), true
	}
	f.data, _ = base64Skip(nil, rest[:end])
	return f, len(b) - len(rest) + end, true
}

// decodeYEnc reads the first yEnc file of b (yEnc 1.3) and returns how much of b it took.
func decodeYEnc(b []byte) (f embedded, size int, ok bool) {
	start := bytes.Index(b, yBegin)
	if start < 0 || start > 0 && b[start-1] != '\n' {
		return f, 0, false
	}
	line, rest := nextLine(b[start:])
	f.broken = true
	length := -1
	if _, after, found := bytes.Cut(line, []byte(" size=")); found {
		digits, _, _ := bytes.Cut(after, []byte{' '})
		length, _ = strconv.Atoi(string(digits))
	}
	if _, name, found := bytes.Cut(line, []byte(" name=")); found {
		f.name = string(bytes.TrimSpace(name))
	}
	f.data = make([]byte, 0, min(len(rest), max(length, 0)))
	for len(rest) > 0 {
		line, rest = nextLine(rest)
		if bytes.HasPrefix(line, []byte("=yend")) {
			f.broken = false
			break
		}
		if bytes.HasPrefix(line, []byte("=ypart")) {
			continue
		}
		for i := 0; i < len(line); i++ {
			c := line[i]
			if c == '=' && i+1 < len(line) {
				i++
				c = line[i] - 64
			}
			f.data = append(f.data, c-42)
		}
	}
	return f, len(b) - len(rest), true
}
