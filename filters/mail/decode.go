package mail

import (
	"bytes"
	"encoding/base64"
	"strings"
)

// A Reading is one way in which a mail program decodes a part's body.
type Reading struct {
	How  string // "identity", "base64", "base64 skip-junk", "quoted-printable" ...
	Data []byte // nobody may write to it
}

// encodings reads all Content-Transfer-Encoding fields: what programs would decode by, the likeliest first; and
// whether the value is one that they differ on.
func encodings(values []string) (list []string, odd string) {
	if len(values) == 0 {
		return identityOnly, ""
	}
	if len(values) == 1 {
		if known := knownEncoding(Unfold(values[0])); known != nil {
			return known, ""
		}
	}
	for _, v := range values {
		clean := strings.ToLower(Unfold(v))
		switch clean {
		case "7bit", "8bit", "binary":
			list = appendNew(list, "identity")
			continue
		case "base64", "quoted-printable", "x-uuencode", "x-yenc":
			list = appendNew(list, clean)
			continue
		}
		found := looseEncodings(clean)
		switch {
		case len(found) > 0:
			odd = "mime.encoding-ambiguous"
			for _, f := range found {
				list = appendNew(list, f)
			}
			list = appendNew(list, "identity")
		case clean == "":
			list = appendNew(list, "identity")
		case strings.Contains(clean, "binhex") || strings.Contains(clean, "gzip") || strings.Contains(clean, "compress") || strings.Contains(clean, "deflate"):
			odd = "mime.encoding-unsupported"
			list = appendNew(list, "identity")
		default:
			if odd == "" {
				odd = "mime.encoding-unknown"
			}
			list = appendNew(list, "identity")
		}
	}
	if len(values) > 1 && len(list) > 1 {
		odd = "mime.encoding-ambiguous"
	}
	return list, odd
}

// The lists of encodings of nearly all parts; nobody may write to them.
var (
	identityOnly = []string{"identity"}
	base64Only   = []string{"base64"}
	printOnly    = []string{"quoted-printable"}
)

// knownEncoding is the list for one field that says what RFC 2045 section 6.1 allows; nil for all else.
func knownEncoding(v string) []string {
	switch len(v) {
	case 4:
		if v[0] == '7' && strings.EqualFold(v, "7bit") || v[0] == '8' && strings.EqualFold(v, "8bit") {
			return identityOnly
		}
	case 6:
		if strings.EqualFold(v, "base64") {
			return base64Only
		} else if strings.EqualFold(v, "binary") {
			return identityOnly
		}
	case 16:
		if strings.EqualFold(v, "quoted-printable") {
			return printOnly
		}
	}
	return nil
}

// looseEncodings finds the encodings that a tolerant program may read into a malformed value.
func looseEncodings(v string) []string {
	v = DecodeWords(v)
	// Comments and junk inside a word, as in bas(x)e64, vanish for some programs.
	var bare strings.Builder
	depth := 0
	for _, c := range v {
		switch {
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth == 0 && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-'):
			bare.WriteRune(c)
		}
	}
	var list []string
	for _, s := range []string{bare.String(), v} {
		if strings.Contains(s, "base64") || strings.Contains(s, "base-64") {
			list = appendNew(list, "base64")
		}
		if strings.Contains(s, "quoted") || strings.Contains(s, "printable") {
			list = appendNew(list, "quoted-printable")
		}
		if strings.Contains(s, "uuencode") || s == "uue" || s == "x-uue" {
			list = appendNew(list, "x-uuencode")
		}
	}
	return list
}

// decodeBody decodes b in every way that its encoding allows. clean is false if programs differ on it.
func decodeBody(encoding string, b []byte) (readings []Reading, clean bool) {
	switch encoding {
	case "base64":
		return decodeBase64(b)
	case "quoted-printable":
		return decodeQP(b)
	case "x-uuencode":
		if f, _, ok := decodeUU(b); ok {
			return []Reading{{encoding, f.data}}, !f.broken
		}
		return []Reading{{"identity", b}}, false
	case "x-yenc":
		if f, _, ok := decodeYEnc(b); ok {
			return []Reading{{encoding, f.data}}, !f.broken
		}
		return []Reading{{"identity", b}}, false
	}
	return []Reading{{"identity", b}}, true
}

// decodeBase64 decodes strictly, and if that fails as each kind of lenient decoder does.
func decodeBase64(b []byte) ([]Reading, bool) {
	dst := make([]byte, base64.StdEncoding.DecodedLen(len(b)))
	n, err := base64.StdEncoding.Decode(dst, b)
	if err == nil {
		return []Reading{{"base64", dst[:n:n]}}, true
	}
	var list []Reading
	skip, odd := base64Skip(dst[:0], b)
	list = append(list, Reading{"base64 skip-junk", skip})
	if !odd {
		return list, true // blanks, or no padding at the end: all decode it alike
	}
	list = addReading(list, "base64 stop-at-pad", base64Until(b, 65))
	list = addReading(list, "base64 restart-at-pad", base64Restart(b))
	list = addReading(list, "base64 stop-at-junk", base64Until(b, 65, 66))
	if len(list) == 1 {
		return list, true
	}
	return addReading(list, "identity", b), false // some give up and show what was sent
}

// addReading appends a reading that differs from those in the list. One that is only shorter by an incomplete group
// at its end counts as the same.
func addReading(list []Reading, how string, data []byte) []Reading {
	for _, r := range list {
		if bytes.Equal(r.Data, data) {
			return list
		}
	}
	return append(list, Reading{how, data})
}

// values64 maps base64 characters to their values, blanks and line ends to 64, padding to 65, all else to 66.
var values64 = func() (t [256]byte) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range t {
		t[i] = 66
	}
	for i := 0; i < len(alphabet); i++ {
		t[alphabet[i]] = byte(i)
	}
	t[' '], t['\t'], t['\r'], t['\n'], t['='] = 64, 64, 64, 64, 65
	return t
}()

// base64Skip decodes all characters of the alphabet as one stream. odd reports whether anything but blanks was
// skipped, or the padding stands elsewhere than at the end.
func base64Skip(dst, b []byte) (out []byte, odd bool) {
	out = dst
	var acc uint32
	n, padded := 0, false
	for _, c := range b {
		v := values64[c]
		if v < 64 {
			odd = odd || padded
			acc = acc<<6 | uint32(v)
			if n++; n == 4 {
				out = append(out, byte(acc>>16), byte(acc>>8), byte(acc))
				acc, n = 0, 0
			}
		} else if v == 65 {
			padded = true
		} else if v == 66 {
			odd = true
		}
	}
	return flushQuad(out, acc, n), odd || n == 1
}

// flushQuad writes the whole octets of an incomplete group of n characters.
func flushQuad(out []byte, acc uint32, n int) []byte {
	switch n {
	case 2:
		return append(out, byte(acc>>4))
	case 3:
		return append(out, byte(acc>>10), byte(acc>>2))
	}
	return out
}

// base64Until decodes up to the first octet whose value in values64 is one of stops: 65 is padding, 66 junk.
func base64Until(b []byte, stops ...byte) []byte {
	end := len(b)
	for i, c := range b {
		if bytes.IndexByte(stops, values64[c]) >= 0 {
			end = i
			break
		}
	}
	out, _ := base64Skip(make([]byte, 0, end*3/4+3), b[:end])
	return out
}

// base64Restart begins a new group after each padding.
func base64Restart(b []byte) []byte {
	out := make([]byte, 0, len(b)*3/4+3)
	for len(b) > 0 {
		n := bytes.IndexByte(b, '=')
		if n < 0 {
			n = len(b)
		}
		out, _ = base64Skip(out, b[:n])
		for n < len(b) && b[n] == '=' {
			n++
		}
		b = b[n:]
	}
	return out
}

// decodeQP decodes quoted-printable (RFC 2045 section 6.7). A malformed escape is kept as it is, as most programs
// do; the body as transmitted is then the second reading.
func decodeQP(b []byte) ([]Reading, bool) {
	out := make([]byte, 0, len(b))
	clean := true
	for len(b) > 0 {
		n := bytes.IndexByte(b, '=')
		if n < 0 {
			out = append(out, b...)
			break
		}
		out = append(out, b[:n]...)
		b = b[n:]
		if len(b) > 2 && hexValue(b[1]) >= 0 && hexValue(b[2]) >= 0 {
			out = append(out, byte(hexValue(b[1])<<4|hexValue(b[2])))
			b = b[3:]
			continue
		}
		if n := softBreak(b); n > 0 {
			b = b[n:]
			continue
		}
		clean = false
		out = append(out, '=')
		b = b[1:]
	}
	return []Reading{{"quoted-printable", out}}, clean
}

// softBreak is the length of "=", blanks and a line end at the beginning of b, 0 if they do not stand there.
func softBreak(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case ' ', '\t':
		case '\n':
			return i + 1
		case '\r':
			if i+1 < len(b) && b[i+1] == '\n' {
				return i + 2
			}
			return i + 1
		default:
			return 0
		}
	}
	return len(b) // at the end: nothing follows that could be joined
}
