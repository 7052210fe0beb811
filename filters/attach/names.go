package attach

import (
	"net/url"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"gatepost/filters/mail"
	"gatepost/rules/danger"
)

// fold is a name as an operating system and a reader end up with it: compatibility forms folded, characters that cannot be
// seen removed, blanks and dots at the end and Windows stream names cut off, the last element of the path.
func fold(name string) string {
	plain := true
	for i := 0; i < len(name); i++ {
		if name[i] >= 0x80 || name[i] < ' ' {
			plain = false
			break
		}
	}
	if !plain {
		name = strings.Map(func(r rune) rune {
			if unicode.Is(unicode.Cf, r) || r < ' ' || r == unicode.ReplacementChar {
				return -1
			}
			return r
		}, norm.NFKC.String(name))
	}
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	return strings.ToLower(strings.TrimRight(name, ". \u00a0"))
}

// suffixes are the extensions that some system may see in a name: the last one of every cut that a system or a program makes at a
// NUL, an encoded NUL, a colon or a semicolon (HOSTILE.md F-05).
func suffixes(name string) []string {
	var out []string
	add := func(n string) {
		n = fold(n)
		if i := strings.LastIndexByte(n, '.'); i >= 0 {
			out = append(out, strings.TrimSpace(n[i+1:]))
		}
	}
	add(name)
	for _, cut := range []string{"\x00", "%00", ":", ";"} {
		if before, _, ok := strings.Cut(name, cut); ok {
			add(before)
		}
	}
	return out
}

// examineNames says what is odd about an item's names and which class they give it.
func (w *walk) examineNames(it *item) danger.Class {
	var class danger.Class
	seen := map[string]bool{}
	for _, n := range it.names {
		if len(n) > 4096 {
			n = n[len(n)-4096:]
		}
		for i, ext := range suffixes(n) {
			c := w.table.Class(ext)
			seen[ext] = seen[ext] || i == 0
			if c.Runs() && !class.Runs() || c == danger.Source && class == "" {
				class = c
			}
			w.doubled(it, n, ext, c)
		}
		if bidi(n) {
			w.find(it, "attach.bidi-name", "A file name hides characters or turns the direction of reading.", n)
		}
		if pathy(n) {
			w.find(it, "attach.path-name", "A file name holds a path.", n)
		}
	}
	if len(seen) > 1 && class.Runs() {
		w.find(it, "attach.name-conflict", "Programs see different names of one file, and one of them is dangerous.", strings.Join(it.names, " | "))
	}
	return class
}

// examineFields looks at the names as they stand in the part's header: the parse of the message hands out names without what
// hides and without folders.
func (w *walk) examineFields(it *item) {
	for _, field := range []string{"Content-Type", "Content-Disposition"} {
		v := it.part.Get(field)
		if v == "" {
			continue
		}
		v = mail.DecodeWords(strings.ReplaceAll(v, "\t", " ")) // a fold may leave its tab
		if strings.IndexByte(v, '%') >= 0 {
			if u, err := url.PathUnescape(v); err == nil {
				v = u
			}
		}
		if bidi(v) {
			w.find(it, "attach.bidi-name", "A file name hides characters or turns the direction of reading.", v)
		}
		if strings.Contains(v, "../") || strings.Contains(v, `..\`) {
			w.find(it, "attach.path-name", "A file name holds a path.", v)
		}
	}
}

// doubled finds a harmless extension before a dangerous one, also with blanks between.
func (w *walk) doubled(it *item, name, ext string, c danger.Class) {
	if !c.Runs() && c != danger.Source {
		return
	}
	folded := fold(name)
	stem, ok := strings.CutSuffix(folded, "."+ext)
	if !ok {
		w.find(it, "attach.hidden-extension", "A file name hides the extension that some systems use.", name)
		return
	}
	trimmed := strings.TrimRight(stem, " .\u00a0")
	if i := strings.LastIndexByte(trimmed, '.'); i >= 0 && w.table.Class(trimmed[i+1:]) == danger.Harmless {
		w.find(it, "attach.double-extension", "A dangerous file name pretends to be a harmless one.", "."+ext+" behind "+trimmed[i:])
	}
	if len(stem)-len(trimmed) > 4 {
		w.find(it, "attach.hidden-extension", "A file name hides its extension behind blanks.", name)
	}
}

// bidi reports whether a name holds what a reader cannot see.
func bidi(name string) bool { return mail.Hidden(name) }

// pathy reports whether a name leads out of the folder that it would be unpacked to.
func pathy(name string) bool {
	n := strings.ReplaceAll(name, `\`, "/")
	return strings.HasPrefix(n, "/") || n == ".." || strings.HasPrefix(n, "../") || strings.Contains(n, "/../") ||
		len(n) > 2 && n[1] == ':' && n[2] == '/'
}
