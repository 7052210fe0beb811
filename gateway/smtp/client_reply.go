package smtp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// ErrBadReply is the cause when a next hop's reply is malformed or too long.
var ErrBadReply = errors.New("malformed reply")

// readReply reads one reply (RFC 5321 section 4.2.1) of a next hop, which is not trusted: a line ends at CRLF alone and
// has at most 2 KiB, a reply has at most 128 lines and 64 KiB, and its code stays the same. The text is that of all
// lines, joined by blanks, with everything but printable ASCII replaced, at most 512 bytes. each, if not nil, is given
// the text of every line in turn.
func readReply(r *bufio.Reader, each func(line string)) (*Reply, error) {
	reply := &Reply{}
	var text []byte
	for lines, size := 1, 0; ; lines++ {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) || len(line) > maxReplyLine {
			return nil, fmt.Errorf("%w: line too long", ErrBadReply)
		}
		if err != nil {
			return nil, err
		}
		if size += len(line); lines > maxReplyLines || size > maxReplyBytes {
			return nil, fmt.Errorf("%w: too long", ErrBadReply)
		}
		code, more, words, err := replyLine(line)
		if err != nil {
			return nil, err
		}
		if lines == 1 {
			reply.Code = code
		} else if code != reply.Code {
			return nil, fmt.Errorf("%w: code changes from %d to %d", ErrBadReply, reply.Code, code)
		}
		if each != nil {
			each(legible(words, maxReplyLine))
		}
		enhanced, words := splitEnhanced(words)
		if lines == 1 {
			reply.Enhanced = enhanced
		}
		if len(text) > 0 && len(words) > 0 && len(text) < maxReplyText {
			text = append(text, ' ')
		}
		text = append(text, words[:min(len(words), maxReplyText-len(text))]...)
		if !more {
			reply.Text = legible(text, maxReplyText)
			reply.agree()
			return reply, nil
		}
	}
}

// replyLine takes one line apart: the code, whether more lines follow, and the text.
func replyLine(line []byte) (code int, more bool, text []byte, err error) {
	line, ok := bytes.CutSuffix(line, []byte("\r\n"))
	switch {
	case !ok:
		return 0, false, nil, fmt.Errorf("%w: bare line feed", ErrBadReply)
	case bytes.IndexByte(line, 0) >= 0 || bytes.IndexByte(line, '\r') >= 0:
		return 0, false, nil, fmt.Errorf("%w: control character", ErrBadReply)
	case len(line) < 3 || line[0] < '2' || line[0] > '5' || !digit(line[1]) || !digit(line[2]):
		return 0, false, nil, fmt.Errorf("%w: no code", ErrBadReply)
	}
	code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	if len(line) == 3 {
		return code, false, nil, nil
	}
	if line[3] != ' ' && line[3] != '-' {
		return 0, false, nil, fmt.Errorf("%w: no code", ErrBadReply)
	}
	return code, line[3] == '-', line[4:], nil
}

// splitEnhanced takes an enhanced status code (RFC 2034 section 4) off the front of text.
func splitEnhanced(text []byte) (enhanced string, rest []byte) {
	word, rest, _ := bytes.Cut(text, []byte(" "))
	fields, digits := 1, 0
	for _, b := range word {
		switch {
		case digit(b) && digits < 3:
			digits++
		case b == '.' && digits > 0:
			fields, digits = fields+1, 0
		default:
			return "", text
		}
	}
	if fields != 3 || digits == 0 || word[1] != '.' || word[0] != '2' && word[0] != '4' && word[0] != '5' {
		return "", text
	}
	return string(word), rest
}

// agree gives the reply an enhanced code of the code's own class where it has none (RFC 3463 section 3.1: X.0.0).
func (r *Reply) agree() {
	class := byte('0' + r.Code/100)
	if class != '3' && (r.Enhanced == "" || r.Enhanced[0] != class) {
		r.Enhanced = string(class) + ".0.0"
	}
}

// legible is text as printable ASCII, at most max bytes, without blanks at its ends.
func legible(text []byte, max int) string {
	var b strings.Builder
	text = bytes.TrimSpace(text[:min(len(text), max)])
	b.Grow(len(text))
	for _, c := range text {
		switch {
		case c == '\t':
			c = ' '
		case c < ' ' || c > '~':
			c = '?'
		}
		b.WriteByte(c)
	}
	return b.String()
}

func digit(b byte) bool { return '0' <= b && b <= '9' }

// printable reports whether s is ASCII without blanks and controls, or holds UTF-8 beyond it.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
