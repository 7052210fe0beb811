package mail

import (
	"bytes"
	"encoding/base64"
	"io"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/emersion/go-message/charset"
)

// toUTF8 converts b from the named charset. What cannot be converted becomes U+FFFD. known is false if nobody knows
// the charset: the text is then what most mail programs would make of the bytes.
func toUTF8(name string, b []byte) (text string, known bool) {
	name = charsetName(name)
	switch name {
	case "utf-8", "utf8":
		return labelledUTF8(b), true
	case "", "us-ascii", "ascii", "ansi_x3.4-1968":
		return unlabelled(b), true
	case "utf-7", "unicode-1-1-utf-7", "x-unicode-2-0-utf-7":
		return utf7(b), true
	case "utf-16", "utf16", "utf-16le", "utf-16be", "ucs-2", "iso-10646-ucs-2", "unicode":
		return utf16Text(name, b), true
	}
	if text, ok := rareText(name, b); ok {
		return text, true
	}
	if isPlain(b) && !strings.HasPrefix(name, "iso-2022") && !strings.HasPrefix(name, "hz") && !strings.Contains(name, "32") {
		return string(b), true
	}
	if t := singleOctet(name); t != nil {
		return t.text(b), true
	}
	r, err := charset.Reader(name, bytes.NewReader(b))
	if err != nil {
		return unlabelled(b), false
	}
	out, err := io.ReadAll(r)
	if err != nil {
		return guess(b), true
	}
	return strings.ToValidUTF8(string(out), "\uFFFD"), true
}

// charsetName folds a label as mail programs do: lower case, no quotes, no language (RFC 2231 section 5).
func charsetName(s string) string {
	s = strings.Trim(s, " \t\r\n\"'<>")
	s, _, _ = strings.Cut(s, "*")
	switch {
	case len(s) > 40:
		return "x-too-long"
	case len(s) == 5 && strings.EqualFold(s, "utf-8"):
		return "utf-8"
	case len(s) == 8 && strings.EqualFold(s, "us-ascii"):
		return "us-ascii"
	case len(s) == 10 && strings.EqualFold(s, "iso-8859-1"):
		return "iso-8859-1"
	}
	return strings.ToLower(s)
}

// isPlain reports whether b is ASCII without escapes, and so the same in nearly every charset.
func isPlain(b []byte) bool {
	return isASCIIText(b) && bytes.IndexByte(b, 0x1b) < 0
}

// guess reads bytes without a usable label: UTF-8 if they are, else Windows-1252, as mail programs do.
func guess(b []byte) string {
	if len(b) >= 3 && b[0] == 0xEF && b[1] == 0xBB && b[2] == 0xBF {
		b = b[3:]
	}
	if utf8.Valid(b) {
		return string(b)
	}
	if mostlyUTF8(b) {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	if t := singleOctet("windows-1252"); t != nil {
		return t.text(b)
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

// An octetTable is a charset whose characters are single octets: their texts.
type octetTable [256]string

// octetTables are made when they are first needed, of what charset.Reader makes of each octet.
var octetTables = map[string]func() *octetTable{
	"iso-8859-1":   sync.OnceValue(func() *octetTable { return newOctetTable("iso-8859-1") }),
	"iso-8859-2":   sync.OnceValue(func() *octetTable { return newOctetTable("iso-8859-2") }),
	"iso-8859-15":  sync.OnceValue(func() *octetTable { return newOctetTable("iso-8859-15") }),
	"windows-1251": sync.OnceValue(func() *octetTable { return newOctetTable("windows-1251") }),
	"windows-1252": sync.OnceValue(func() *octetTable { return newOctetTable("windows-1252") }),
	"koi8-r":       sync.OnceValue(func() *octetTable { return newOctetTable("koi8-r") }),
}

// singleOctet is the table of one of the charsets of single octets that mail is written in; nil for all others.
func singleOctet(name string) *octetTable {
	if table, ok := octetTables[name]; ok {
		return table()
	}
	return nil
}

func newOctetTable(name string) *octetTable {
	t := new(octetTable)
	for i := range t {
		r, err := charset.Reader(name, bytes.NewReader([]byte{byte(i)}))
		if err != nil {
			return nil
		}
		out, err := io.ReadAll(r)
		if err != nil {
			return nil
		}
		t[i] = strings.ToValidUTF8(string(out), "\uFFFD")
	}
	return t
}

// text converts b. It counts first, so that what it returns takes no more memory than it needs.
func (t *octetTable) text(b []byte) string {
	size := 0
	for _, c := range b {
		size += len(t[c])
	}
	var out strings.Builder
	out.Grow(size)
	for len(b) > 0 {
		n := 0
		for n < len(b) && b[n] < utf8.RuneSelf {
			n++
		}
		out.Write(b[:n])
		for b = b[n:]; len(b) > 0 && b[0] >= utf8.RuneSelf; b = b[1:] {
			out.WriteString(t[b[0]])
		}
	}
	return out.String()
}

// labelledUTF8 reads bytes that are said to be UTF-8: they are, if they hold one character of it beside ASCII.
func labelledUTF8(b []byte) string {
	if utf8.Valid(b) {
		return guess(b)
	}
	for i := 0; i < min(len(b), 4096); i++ {
		if b[i] < utf8.RuneSelf {
			continue
		}
		if _, n := utf8.DecodeRune(b[i:]); n > 1 {
			return strings.ToValidUTF8(string(b), "\uFFFD")
		}
	}
	return unlabelled(b)
}

// mostlyUTF8 reports whether invalid sequences are the exception in b, as after a cut in the middle of a character.
func mostlyUTF8(b []byte) bool {
	good, bad := 0, 0
	for len(b) > 0 && good+bad < 4096 {
		if b[0] < utf8.RuneSelf {
			b = b[1:]
			continue
		}
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			bad++
		} else {
			good++
		}
		b = b[n:]
	}
	return good > 4*bad
}

// utf16Text reads UTF-16. Without a byte order mark and without a label that says so, the order is the one in which
// the text has more Latin letters.
func utf16Text(name string, b []byte) string {
	little := name == "utf-16le"
	switch {
	case len(b) >= 2 && b[0] == 0xFF && b[1] == 0xFE:
		little, b = true, b[2:]
	case len(b) >= 2 && b[0] == 0xFE && b[1] == 0xFF:
		little, b = false, b[2:]
	case name != "utf-16le" && name != "utf-16be":
		even, odd := 0, 0
		for i := 0; i+1 < min(len(b), 4096); i += 2 {
			if b[i] == 0 {
				even++
			}
			if b[i+1] == 0 {
				odd++
			}
		}
		little = odd > even
	}
	u := make([]uint16, len(b)/2)
	for i := range u {
		hi, lo := b[2*i], b[2*i+1]
		if little {
			hi, lo = lo, hi
		}
		u[i] = uint16(hi)<<8 | uint16(lo)
	}
	return string(utf16.Decode(u))
}

// utf7 reads UTF-7 (RFC 2152), which a program that sniffs may run as HTML.
func utf7(b []byte) string {
	var out strings.Builder
	for len(b) > 0 {
		plus := bytes.IndexByte(b, '+')
		if plus < 0 {
			out.Write(b)
			break
		}
		out.Write(b[:plus])
		b = b[plus+1:]
		n := 0
		for n < len(b) && isBase64(b[n]) {
			n++
		}
		raw := make([]byte, base64.RawStdEncoding.DecodedLen(n))
		m, _ := base64.RawStdEncoding.Decode(raw, b[:n])
		u := make([]uint16, m/2)
		for i := range u {
			u[i] = uint16(raw[2*i])<<8 | uint16(raw[2*i+1])
		}
		out.WriteString(string(utf16.Decode(u)))
		b = b[n:]
		if len(b) > 0 && b[0] == '-' {
			if n == 0 {
				out.WriteByte('+')
			}
			b = b[1:]
		}
	}
	return strings.ToValidUTF8(out.String(), "\uFFFD")
}

func isBase64(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '+' || c == '/'
}
