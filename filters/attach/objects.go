package attach

import (
	"bytes"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf16"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// maxLinks is how many links of one message's files are kept as facts.
const maxLinks = 200

// links keeps the links in a file's text as facts.
func (w *walk) links(text string) {
	if w.give != nil || !strings.Contains(text, ":") && !strings.Contains(text, "www.") {
		return
	}
	m := mail.Parse(mail.Memory("Content-Type: text/plain; charset=utf-8\r\n\r\n" + text[:min(len(text), 1<<20)]))
	for _, l := range m.Links() {
		if len(w.facts.URLs) >= maxLinks {
			return
		}
		host := ""
		if u, err := url.Parse(l.URL); err == nil {
			host = strings.ToLower(u.Hostname())
		}
		w.facts.URLs = append(w.facts.URLs, filters.URL{URL: mail.Printable(l.URL, 2048), Host: mail.Printable(host, 253), Domain: mail.OrganizationalDomain(host)})
	}
}

// native takes the file out of a packaged object: the stream Ole10Native, from behind its size (as Office writes it: two octets,
// label, path, four octets, the length of another path, that path, the size of the file, the file).
func (w *walk) native(it *item, b []byte) {
	label, file, ok := readNative(b)
	if !ok {
		w.member(it, "object", b)
		return
	}
	inner := *it
	inner.office = false // a person may open it with two clicks: its name counts
	w.member(&inner, label, file)
}

func readNative(b []byte) (label string, file []byte, ok bool) {
	if len(b) < 6 || le.Uint16(b) != 2 {
		return "", nil, false
	}
	name, rest, ok1 := bytes.Cut(b[2:], []byte{0})
	_, rest, ok2 := bytes.Cut(rest, []byte{0})
	if !ok1 || !ok2 || len(rest) < 8 {
		return "", nil, false
	}
	n := uint64(le.Uint32(rest[4:]))
	if n > uint64(len(rest)-8) || uint64(len(rest)-8)-n < 4 {
		return "", nil, false
	}
	rest = rest[8+n:]
	size := uint64(le.Uint32(rest))
	return string(name), rest[4 : 4+min(size, uint64(len(rest)-4))], true
}

var rtfRemote = regexp.MustCompile(`^\\\*\\template\s+\S*(https?:|\\\\)`)

// rtf states what an RTF document holds and examines its objects.
func (w *walk) rtf(it *item) {
	b, lower := it.data, lowered(it.data)
	for _, word := range []string{`\objdata`, `\object`, `\objclass`, `\objlink`, `\objautlink`, `\objupdate`} {
		if bytes.Contains(lower, []byte(word)) {
			w.find(it, "attach.embedded-object", "An office document holds another file.", "RTF object")
			break
		}
	}
	if i := bytes.Index(lower, []byte(`\*\template`)); i >= 0 && rtfRemote.Match(lower[i:min(len(lower), i+1000)]) {
		w.find(it, "attach.remote-template", "An office document loads something from elsewhere when it is opened.", "RTF template")
	}
	if bytes.Contains(lower, []byte("fldinst")) && hasDDE(lower) {
		w.find(it, "attach.dde", "An office document starts a program by DDE.", "RTF field")
	}
	for at := 0; ; {
		i := bytes.Index(lower[at:], []byte(`\objdata`))
		if i < 0 {
			return
		}
		if err := w.budget.entry(); err != nil {
			w.blind(it, "RTF", err)
			return
		}
		at += i + len(`\objdata`)
		object, n := rtfHex(b[at:])
		at += n
		w.rtfObject(it, object)
	}
}

// rtfHex reads the hexadecimal digits of an object up to the end of its group. What Word passes over is passed over: blanks,
// control words, and groups that only some programs know.
func rtfHex(b []byte) (out []byte, n int) {
	var high byte
	half, depth, i := false, 0, 0
	for ; i < len(b); i++ {
		c := b[i]
		switch {
		case c == '{' && bytes.HasPrefix(b[i+1:], []byte(`\*`)): // to be passed over by who does not know it
			i = groupEnd(b, i)
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth < 0 {
				return out, i
			}
		case c == '\\':
			for i+1 < len(b) && (b[i+1]|0x20 >= 'a' && b[i+1]|0x20 <= 'z' || b[i+1] >= '0' && b[i+1] <= '9') {
				i++
			}
		case c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f':
			if half {
				out = append(out, high<<4|unhex(c))
			}
			high, half = unhex(c), !half
		}
	}
	return out, min(i, len(b))
}

// lowered is b with the letters of ASCII in lower case, octet for octet.
func lowered(b []byte) []byte {
	out := make([]byte, len(b))
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		out[i] = c
	}
	return out
}

// groupEnd is where the group that begins at an offset ends.
func groupEnd(b []byte, at int) int {
	depth := 0
	for ; at < len(b); at++ {
		switch b[at] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return at
			}
		}
	}
	return at
}

// rtfObject examines an object in the form of OLE 1.0 ([MS-OLEDS] section 2.2.5): version, kind, three strings with their
// lengths before them, the content's size, the content.
func (w *walk) rtfObject(it *item, b []byte) {
	inner := *it
	inner.office = true
	rest := b
	class := ""
	if len(b) < 12 {
		return
	}
	rest = rest[8:]
	for i := range 3 {
		if len(rest) < 4 || uint64(le.Uint32(rest)) > uint64(len(rest)-4) {
			w.member(&inner, "object", b)
			return
		}
		n := int(le.Uint32(rest))
		if i == 0 {
			class = strings.TrimRight(string(rest[4:4+n]), "\x00")
		}
		rest = rest[4+n:]
	}
	if len(rest) < 4 {
		return
	}
	content := rest[4 : 4+min(uint64(le.Uint32(rest)), uint64(len(rest)-4))]
	if strings.EqualFold(class, "Package") {
		w.native(&inner, content)
		return
	}
	w.member(&inner, class, content)
}

// shortcut is what a Windows shortcut starts ([MS-SHLLINK]): the relative path and the arguments.
func shortcut(b []byte) string {
	if len(b) < 0x4c {
		return ""
	}
	flags, at := le.Uint32(b[0x14:]), 0x4c
	if flags&1 != 0 { // HasLinkTargetIDList
		if at+2 > len(b) {
			return ""
		}
		at += 2 + int(le.Uint16(b[at:]))
	}
	target := ""
	if flags&2 != 0 { // HasLinkInfo
		if at < 0 || at+28 > len(b) {
			return ""
		}
		info := b[at:]
		size := uint64(le.Uint32(info))
		if base := uint64(le.Uint32(info[16:])); base > 0 && base < min(size, uint64(len(info))) {
			text, _, _ := bytes.Cut(info[base:], []byte{0})
			target = string(text)
		}
		if size > uint64(len(info)) {
			return target
		}
		at += int(size)
	}
	var words []string
	for bit := uint32(4); bit <= 0x40; bit <<= 1 { // name, relative path, folder, arguments, icon
		if flags&bit == 0 {
			continue
		}
		if at+2 > len(b) {
			break
		}
		n := int(le.Uint16(b[at:]))
		if flags&0x80 != 0 {
			n *= 2
		}
		at += 2
		if at+n > len(b) {
			break
		}
		if bit == 8 || bit == 0x20 {
			words = append(words, stringData(b[at:at+n], flags&0x80 != 0))
		}
		at += n
	}
	if target != "" {
		words = append([]string{target}, words...)
	}
	return strings.Join(words, " ")
}

// stringData reads a string of a shortcut.
func stringData(b []byte, wide bool) string {
	if !wide {
		return string(b)
	}
	u := make([]uint16, len(b)/2)
	for i := range u {
		u[i] = le.Uint16(b[2*i:])
	}
	return string(utf16.Decode(u))
}

// webShortcut is what a .url file leads to.
var webShortcut = regexp.MustCompile(`(?im)^\s*(?:URL|BASEURL|IconFile)\s*=\s*(\S{1,200})`)

// isBookmark reports whether an Internet shortcut does no more than open a page in a browser: it names pages of the web
// and nothing else that could be fetched or started.
func isBookmark(b []byte) bool {
	if len(b) > 4<<10 || !bytes.HasPrefix(b, []byte("[InternetShortcut]")) && !bytes.HasPrefix(b, []byte("[DEFAULT]")) {
		return false
	}
	leads := false
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(line)), "=")
		value = strings.TrimSpace(value)
		web := strings.HasPrefix(value, "http://") || strings.HasPrefix(value, "https://")
		switch strings.TrimSpace(key) {
		case "", "[internetshortcut]", "[default]", "modified", "iconindex", "hotkey", "idlist", "[{000214a0-0000-0000-c000-000000000046}]", "prop3":
		case "url", "baseurl":
			if leads = true; !web {
				return false
			}
		case "iconfile":
			if !web {
				return false
			}
		default:
			return false
		}
	}
	return leads
}

// starts is what an item that is a shortcut leads to, for the evidence.
func starts(kind string, b []byte) string {
	if s := shortcut(b); strings.HasPrefix(kind, "Windows shortcut") && s != "" {
		return kind + " that starts " + s
	}
	if m := webShortcut.FindSubmatch(b); strings.HasPrefix(kind, "Internet shortcut") && m != nil {
		return fmt.Sprintf("%s to %s", kind, m[1])
	}
	return kind
}
