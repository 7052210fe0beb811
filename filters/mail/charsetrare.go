package mail

import (
	"bytes"
	"io"
	"strings"

	"github.com/emersion/go-message/charset"
)

// rareText reads charsets that some mail programs show and browsers do not know. ok is false for all others. Nobody
// honest writes them today; a text that only its reader can read hides words and links from every filter.
func rareText(name string, b []byte) (text string, ok bool) {
	switch {
	case strings.HasPrefix(name, "utf-32"), strings.HasPrefix(name, "utf32"), name == "ucs-4", name == "iso-10646-ucs-4":
		return utf32Text(name, b), true
	case name == "iso-2022-kr", name == "csiso2022kr":
		return shiftedText("euc-kr", b)
	case strings.HasPrefix(name, "iso-2022-cn"):
		return shiftedText("gbk", b)
	case isEBCDIC(name):
		return converted("ibm037", b)
	}
	return "", false
}

// converted is b by a charset of the library.
func converted(name string, b []byte) (string, bool) {
	r, err := charset.Reader(name, bytes.NewReader(b))
	if err != nil {
		return "", false
	}
	out, err := io.ReadAll(r)
	return strings.ToValidUTF8(string(out), "\uFFFD"), err == nil
}

// utf32Text reads UTF-32; without a mark or a label that says so, the order is that in which the first character is one.
func utf32Text(name string, b []byte) string {
	little := strings.HasSuffix(name, "le")
	if len(b) >= 4 && !strings.HasSuffix(name, "be") && !little {
		little = b[3] == 0 && b[2] == 0
	}
	out := make([]rune, 0, len(b)/4)
	for ; len(b) >= 4; b = b[4:] {
		r := rune(b[0])<<24 | rune(b[1])<<16 | rune(b[2])<<8 | rune(b[3])
		if little {
			r = rune(b[3])<<24 | rune(b[2])<<16 | rune(b[1])<<8 | rune(b[0])
		}
		if r != 0xFEFF || len(out) > 0 {
			out = append(out, r) // what is no character becomes U+FFFD
		}
	}
	return string(out)
}

// shiftedText reads a charset in which SO begins two-octet characters of seven bits each, SI ends them, and escape
// sequences say which they are (RFC 1557, RFC 1922). Those of the commonest set have the eighth bit in name.
func shiftedText(name string, b []byte) (string, bool) {
	out := make([]byte, 0, len(b))
	shifted := false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == 0x0E:
			shifted = true
		case c == 0x0F:
			shifted = false
		case c == 0x1B && i+3 < len(b) && b[i+1] == '$':
			i += 3
		case c == '\n':
			shifted = false // a line begins in ASCII
			out = append(out, c)
		case shifted && c > ' ' && c < 0x7F:
			out = append(out, c|0x80)
		default:
			out = append(out, c)
		}
	}
	return converted(name, out)
}

// ebcdicPages are the code pages of EBCDIC. Letters, digits and most of what markup and links are made of stand at the
// same places in all of them.
var ebcdicPages = map[string]bool{
	"37": true, "273": true, "274": true, "275": true, "277": true, "278": true, "280": true, "281": true, "284": true, "285": true,
	"290": true, "297": true, "420": true, "423": true, "424": true, "500": true, "833": true, "838": true, "870": true, "871": true,
	"875": true, "880": true, "905": true, "924": true, "1025": true, "1026": true, "1047": true, "1140": true, "1141": true,
	"1142": true, "1143": true, "1144": true, "1145": true, "1146": true, "1147": true, "1148": true, "1149": true,
}

// isEBCDIC reports whether a label names a code page of EBCDIC: ibm500, cp-273, csibm037, x-ebcdic-germany, ebcdic-cp-us.
func isEBCDIC(name string) bool {
	if strings.Contains(name, "ebcdic") {
		return true
	}
	name = strings.TrimPrefix(strings.TrimPrefix(name, "cs"), "x-")
	for _, family := range [...]string{"ibm", "cp", "ccsid"} {
		if page, ok := strings.CutPrefix(name, family); ok {
			return ebcdicPages[strings.TrimLeft(page, "-_0")]
		}
	}
	return false
}
