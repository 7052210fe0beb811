package mail

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// expected is what the suite says a message's parts are.
type expected struct {
	Parts []struct {
		Body map[string]json.RawMessage `json:"body"`
	} `json:"parts"`
}

// leafContents flattens an expected parse into the contents of its leaves, in order.
func (e expected) leafContents(t *testing.T, part int, list []string) []string {
	for kind, raw := range e.Parts[part].Body {
		switch kind {
		case "Multipart":
			var children []int
			if json.Unmarshal(raw, &children) != nil {
				t.Fatal("multipart")
			}
			for _, c := range children {
				list = e.leafContents(t, c, list)
			}
		case "Message":
			var inner expected
			if json.Unmarshal(raw, &inner) != nil {
				t.Fatal("message")
			}
			list = inner.leafContents(t, 0, list)
		case "Text", "Html":
			var s string
			if json.Unmarshal(raw, &s) != nil {
				t.Fatal("text")
			}
			list = append(list, s)
		default:
			var octets []int
			if json.Unmarshal(raw, &octets) != nil {
				t.Fatal("binary")
			}
			b := make([]byte, len(octets))
			for i, o := range octets {
				b[i] = byte(o)
			}
			list = append(list, string(b))
		}
	}
	return list
}

// contents are the contents of the leaves that every program sees.
func contents(p *Part, list []string) []string {
	for _, c := range p.Children {
		list = contents(c, list)
	}
	if len(p.Children) > 0 {
		return list
	}
	if v := p.View(); v != nil {
		return append(list, v.Source)
	}
	return append(list, string(p.Decoded()[0].Data))
}

// alike compares contents as a reader would: line ends and blanks at the ends do not count.
func alike(a, b string) bool {
	fold := func(s string) string {
		s = strings.ReplaceAll(strings.ReplaceAll(s, "\r", ""), "\ufeff", "")
		return strings.TrimSpace(strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\ufffd", "?"))
	}
	return a == b || fold(a) == fold(b)
}

// ourReasons lists the messages whose parts we read otherwise than the suite expects, and why.
var ourReasons = map[string]string{
	"legacy/017.eml":     "uuencode: we decode x-uuencode",
	"legacy/026.eml":     "uuencode: we decode x-uuencode",
	"legacy/048.eml":     "uuencode: we decode x-uuencode",
	"legacy/033.eml":     "charset us-ascii with 8-bit text: Windows-1252, as mail programs read it, not U+FFFD",
	"legacy/052.eml":     "charset us-ascii with 8-bit text: Windows-1252, as mail programs read it, not U+FFFD",
	"malformed/000.eml":  "four empty parts are four parts",
	"malformed/001.eml":  "an inner multipart with the outer's boundary: its delimiter is an alternate reading",
	"malformed/003.eml":  "an inner multipart with the outer's boundary: its delimiter is an alternate reading",
	"malformed/004.eml":  "boundaries that begin alike: both readings are there, the exact one first",
	"malformed/005.eml":  "boundaries that begin alike: the body is in the epilogue's part",
	"malformed/007.eml":  "boundaries that begin alike: both readings are there, the exact one first",
	"malformed/009.eml":  "an outer boundary ends an unclosed inner multipart (RFC 2046 section 5.1.2)",
	"malformed/011.eml":  "an outer boundary ends an unclosed inner multipart (RFC 2046 section 5.1.2)",
	"malformed/012.eml":  "an outer boundary ends an unclosed inner multipart (RFC 2046 section 5.1.2)",
	"malformed/013.eml":  "inner multiparts with the outer's boundary are empty parts of the outer one",
	"malformed/016.eml":  "a boundary of 81 octets is not cut at 70: lines that only begin like it are an alternate reading",
	"malformed/019.eml":  "random damage: all texts are found, in alternate readings",
	"malformed/020.eml":  "two Content-Type fields: the first reading is multipart, the second is an alternate",
	"malformed/021.eml":  "two Content-Type fields: the first reading is multipart, the second is an alternate",
	"malformed/022.eml":  "an attached message without a header: its text is the reading in which the header ends there",
	"rfc/000.eml":        "prose labelled base64: we show what a decoder makes of it; the prose is another reading",
	"thirdparty/002.eml": "junk behind base64 padding: decoders differ, all readings are kept",
	"thirdparty/005.eml": "a closing boundary in the middle of a line is text",
	"thirdparty/015.eml": "attached messages without body: empty multiparts count as leaves here",
}

// Every message of the suite with an expected parse has the parts and contents that it says, with LF and with CRLF;
// what differs is listed with its reason.
func TestExpectedParsesAgree(t *testing.T) {
	dir := corpora(t, "mime-corpus/stalwart-mail-parser/resources/eml")
	compared, differ := 0, 0
	messages(t, dir, func(name string, data []byte) {
		base := strings.TrimSuffix(filepath.Join(dir, name), ".eml")
		for _, v := range []struct {
			file string
			data []byte
		}{
			{base + ".json", data},
			{base + ".crlf.json", bytes.ReplaceAll(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))},
		} {
			raw, err := os.ReadFile(v.file)
			if err != nil {
				t.Fatal(err)
			}
			var e expected
			if err := json.Unmarshal(raw, &e); err != nil {
				t.Fatal(err)
			}
			want := e.leafContents(t, 0, nil)
			m := Parse(Memory(v.data))
			got := contents(m.Root, nil)
			compared++
			same := len(want) == len(got)
			for i := 0; same && i < len(want); i++ {
				same = alike(want[i], got[i])
			}
			if same {
				continue
			}
			differ++
			for _, text := range want {
				if !anywhere(m, text) && len(text) < 200 && !strings.HasPrefix(strings.TrimSpace(text), "begin ") && v.file != base+".crlf.json" {
					t.Logf("%s: %.120q is in no reading", filepath.Base(v.file), text)
				}
			}
			if ourReasons[name] == "" {
				t.Errorf("%s: %d parts, want %d; %v", filepath.Base(v.file), len(got), len(want), codes(m))
				for i := range max(len(want), len(got)) {
					a, b := "-", "-"
					if i < len(want) {
						a = want[i]
					}
					if i < len(got) {
						b = got[i]
					}
					if !alike(a, b) {
						t.Logf("%d: want %.120q\n   got  %.120q", i, a, b)
					}
				}
			}
		}
	}, ".eml")
	if compared < 200 {
		t.Errorf("only %d expected parses", compared)
	}
	t.Logf("%d of %d expected parses agree; the others are listed", compared-differ, compared)
}

// anywhere reports whether some reading of some leaf is that text.
func anywhere(m *Message, text string) bool {
	for p := range m.Parts() {
		for _, r := range p.Decoded() {
			if alike(string(r.Data), text) {
				return true
			}
		}
	}
	return false
}
