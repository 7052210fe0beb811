package mail

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

const (
	maxName  = 4096 // octets of a file name that are looked at
	maxNames = 256  // names of one part
)

// cleanName is a file name as a file system would take it and a person should see it: compatibility forms folded
// (UAX #15, NFKC), without directories, characters that cannot be seen, and trailing dots and blanks.
func cleanName(s string) string {
	s = bothEnds(s)
	s = guess([]byte(s))
	if !isASCII(s) {
		s = norm.NFKC.String(s)
	}
	s = Visible(s)
	s = s[strings.LastIndexAny(s, `/\`)+1:]
	s = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar {
			return '_'
		}
		return r
	}, s)
	return strings.Trim(strings.TrimRight(s, ". \u00a0"), " ")
}

// bothEnds is a name without its middle, if it is longer than is looked at: programs that shorten it keep its ending.
func bothEnds(s string) string {
	if len(s) <= maxName {
		return s
	}
	return s[:maxName/2] + s[len(s)-maxName/2:]
}

// nameReadings returns the names that programs and file systems make of one raw name: whole, decoded, and cut where
// some of them cut: at NUL, at "%00", at the colon of a stream, at a semicolon.
func nameReadings(list []string, raw string) []string {
	raw = bothEnds(raw)
	forms := []string{raw}
	if strings.Contains(raw, "=?") {
		forms = []string{DecodeWords(raw), raw}
	}
	if strings.IndexByte(raw, '%') >= 0 {
		forms = append(forms, guess(appendPct(nil, raw)))
	}
	for _, f := range forms {
		list = appendName(list, cleanName(f))
	}
	for _, f := range forms {
		for _, sep := range []string{"\x00", "%00", ":", ";"} {
			base := f[strings.LastIndexAny(f, `/\`)+1:]
			if cut, _, ok := strings.Cut(base, sep); ok && len(cut) > 1 {
				list = appendName(list, cleanName(cut))
			}
		}
	}
	return list
}

func appendName(list []string, name string) []string {
	if name == "" || len(list) >= maxNames {
		return list
	}
	for _, have := range list {
		if have == name {
			return list
		}
	}
	return append(list, name)
}

// Names lists every name that a mail program may show or save the part under, the likeliest first. They are clean:
// no directories, no hidden characters, compatibility forms folded.
func (p *Part) Names() []string { return p.names }

// Name is the likeliest of Names, empty if the part has none.
func (p *Part) Name() string {
	if len(p.names) == 0 {
		return ""
	}
	return p.names[0]
}

// collectNames gathers the names of a part from all its Content-Disposition and Content-Type fields.
func (w *walker) collectNames(p *Part) {
	var first, raw []string
	for _, d := range p.dispositions {
		raw = append(raw, d.values("filename")...)
		raw = append(raw, d.values("name")...)
	}
	for _, t := range p.types {
		raw = append(raw, t.values("name")...)
		raw = append(raw, t.values("filename")...)
	}
	for _, r := range raw {
		first = appendName(first, cleanName(DecodeWords(r)))
		if Hidden(DecodeWords(r)) || strings.Contains(r, "\u00a0\u00a0") {
			w.note(p, "mime.name-hidden")
		}
	}
	if len(first) > 1 {
		w.note(p, "mime.name-conflict")
	}
	for _, r := range raw {
		p.names = nameReadings(p.names, r)
	}
	if len(raw) >= maxReadings || len(p.names) >= maxNames {
		w.note(p, "mime.too-many-parameters")
	}
}
