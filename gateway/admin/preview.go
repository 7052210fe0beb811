package admin

import (
	"bytes"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/microcosm-cc/bluemonday"

	"gatepost/filters"
	"gatepost/filters/mail"
)

const (
	previewLimit = 256 << 10 // bytes of text or HTML shown (N-08)
	headerLimit  = 64 << 10  // bytes of header block shown
	lineLimit    = 2000      // runes of one line of text shown
)

// A piece is a run of text to show in one way.
type piece struct {
	Kind string // "", "escape" for what a reader would not see, "url", "host", "quote", "mark"
	Text string
}

// hiddenRune is the visible stand-in for a rune that is not seen or changes how others are seen: controls, bidirectional
// overrides, zero-width characters, private use. "" for an ordinary rune.
func hiddenRune(r rune) string {
	switch {
	case r == '\t' || r == ' ' || r == '\n':
		return ""
	case r == utf8.RuneError:
		return "�"
	case r < 0x20:
		return `\x` + string("0123456789ABCDEF"[r>>4]) + string("0123456789ABCDEF"[r&15])
	case r == bareLF:
		return `\x0A`
	case r == 0x7F:
		return `\x7F`
	case r == 0xA0 || r == 0x3000:
		return "" // blanks that people do use
	case r == 0x200D || r >= 0xFE00 && r <= 0xFE0F:
		return "" // joiner and variation selectors, as in emoji
	case !unicode.IsPrint(r):
		return "U+" + strings.ToUpper(strconv.FormatInt(int64(r), 16))
	}
	return ""
}

// escapeHidden cuts s into pieces with what is hidden made visible.
func escapeHidden(s, kind string) []piece {
	var out []piece
	start := 0
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if h := hiddenRune(r); h != "" {
			if start < i {
				out = append(out, piece{kind, s[start:i]})
			}
			out = append(out, piece{"escape", h})
			start = i + n
		}
		i += n
	}
	if start < len(s) {
		out = append(out, piece{kind, s[start:]})
	}
	return out
}

var urlPattern = regexp.MustCompile(`(?i)\bhttps?://[^\s<>"'` + "`" + `\x{201c}\x{201d}\x{300c}\x{300d}\x{ff08}\x{ff09}]+`)

// textPieces prepares a text for showing: hidden characters visible, links inert with their host set apart, quoted lines
// dimmed, endless lines cut (N-10, N-11).
func textPieces(s string) []piece {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	var out []piece
	for line := range strings.Lines(s) {
		if utf8.RuneCountInString(line) > lineLimit {
			line = clip(line, lineLimit) + "\n"
		}
		kind := ""
		if strings.HasPrefix(line, ">") {
			kind = "quote"
		}
		at := 0
		for _, m := range urlPattern.FindAllStringIndex(line, -1) {
			l := splitURL(line[m[0]:m[1]])
			out = append(out, escapeHidden(line[at:m[0]], kind)...)
			out = append(out, escapeHidden(l.Before, "url")...)
			out = append(out, escapeHidden(l.Host, "host")...)
			out = append(out, escapeHidden(l.After, "url")...)
			at = m[1]
		}
		out = append(out, escapeHidden(line[at:], kind)...)
	}
	return joinPieces(out)
}

// joinPieces merges neighbours of one kind.
func joinPieces(in []piece) []piece {
	var out []piece
	for i := 0; i < len(in); {
		j := i + 1
		for j < len(in) && in[j].Kind == in[i].Kind && in[i].Kind != "escape" {
			j++
		}
		if j == i+1 {
			out = append(out, in[i])
		} else {
			var b strings.Builder
			for _, p := range in[i:j] {
				b.WriteString(p.Text)
			}
			out = append(out, piece{in[i].Kind, b.String()})
		}
		i = j
	}
	return out
}

// headerBlock returns the bytes before the first empty line, at most headerLimit.
func headerBlock(src io.ReaderAt, size int64) (block string, cut bool) {
	buf := make([]byte, min(size, headerLimit))
	n, _ := src.ReadAt(buf, 0)
	s := string(buf[:n])
	if end := strings.Index(s, "\r\n\r\n"); end >= 0 {
		return s[:end], false
	}
	return s, int64(n) < size
}

// An excerpt is the bytes around a piece of evidence, with the evidence marked.
type excerpt struct {
	Start  int64 // offset of the first byte shown
	Pieces []piece
}

var crlf = []byte("\r\n")

const (
	excerptBefore = 60
	excerptMarked = 400
	excerptAfter  = 100
)

// excerptAt shows the bytes around evidence that stands in the message; nil if it does not.
func excerptAt(src mail.Source, e filters.Evidence) *excerpt {
	if e.At == nil || src == nil {
		return nil
	}
	at, n := e.At[0], min(e.At[1], excerptMarked)
	if at < 0 || n <= 0 || at >= src.Size() {
		return nil
	}
	n = min(n, src.Size()-at)
	from := max(0, at-excerptBefore)
	buf := make([]byte, min(src.Size(), at+n+excerptAfter)-from)
	if got, err := src.ReadAt(buf, from); err != nil && (err != io.EOF || got < len(buf)) {
		return nil
	}
	before, after := buf[:at-from], buf[at-from+n:]
	if i := bytes.LastIndex(before, crlf); i >= 0 && i < len(before)-len(crlf) {
		before = before[i+len(crlf):] // from the start of the line
	}
	if i := bytes.LastIndex(after, crlf); i >= 0 {
		after = after[:i] // to the end of one
	}
	x := &excerpt{Start: at - int64(len(before))}
	x.Pieces = append(x.Pieces, escapeHidden(lineEnds(before), "")...)
	x.Pieces = append(x.Pieces, escapeHidden(lineEnds(buf[at-from:at-from+n]), "mark")...)
	x.Pieces = append(x.Pieces, escapeHidden(lineEnds(after), "")...)
	return x
}

// bareLF stands for a line feed without a carriage return until it is shown; a private-use character of a message
// itself is shown the same way, which misleads nobody.
const bareLF = '\uE00A'

// lineEnds turns CRLF into the line feed that a page shows; a bare CR or LF stays visible.
func lineEnds(b []byte) string {
	var out strings.Builder
	out.Grow(len(b))
	for i, c := range b {
		switch {
		case c == '\r' && i+1 < len(b) && b[i+1] == '\n':
		case c == '\n' && (i == 0 || b[i-1] != '\r'):
			out.WriteRune(bareLF)
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}

// sanitizer is the allow-list for the HTML view. It keeps the shape of a message and nothing that acts, loads or leads
// away; the frame it is shown in allows none of that either.
func sanitizer() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowElements("p", "br", "div", "span", "b", "strong", "i", "em", "u", "s", "small", "big", "sub", "sup", "center",
		"h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "dl", "dt", "dd", "blockquote", "pre", "code", "hr", "font",
		"table", "thead", "tbody", "tfoot", "tr", "td", "th", "caption")
	p.AllowNoAttrs().OnElements("a", "span", "font", "div")
	number := regexp.MustCompile(`^[0-9]{1,4}%?$`)
	p.AllowAttrs("width", "height", "cellpadding", "cellspacing", "border", "colspan", "rowspan", "size").Matching(number).
		OnElements("table", "td", "th", "tr", "img", "font", "hr")
	p.AllowAttrs("align", "valign").Matching(regexp.MustCompile(`(?i)^(left|right|center|justify|top|middle|bottom|baseline)$`)).Globally()
	color := regexp.MustCompile(`(?i)^(#[0-9a-f]{3,8}|[a-z]{3,20}|rgba?\([0-9., %]{3,40}\))$`)
	p.AllowAttrs("color", "bgcolor").Matching(color).OnElements("font", "table", "tr", "td", "th", "div")
	p.AllowAttrs("alt").Matching(bluemonday.Paragraph).OnElements("img")
	p.AllowAttrs("dir").Matching(regexp.MustCompile(`(?i)^(ltr|rtl)$`)).Globally()
	p.AllowDataURIImages() // SVG among them, which can act: the pattern narrows it (N-06)
	p.AllowAttrs("src").Matching(regexp.MustCompile(`^data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]+$`)).OnElements("img")
	p.AllowStyles("color", "background-color").Matching(color).Globally()
	length := regexp.MustCompile(`(?i)^-?[0-9]{1,3}(\.[0-9]{1,2})?(px|pt|em|rem|%)?( [0-9]{1,3}(\.[0-9]{1,2})?(px|pt|em|rem|%)?){0,3}$`)
	p.AllowStyles("font-size", "line-height", "padding", "padding-left", "padding-right", "padding-top", "padding-bottom").
		Matching(length).Globally()
	p.AllowStyles("font-weight").MatchingEnum("normal", "bold", "bolder", "lighter", "400", "500", "600", "700").Globally()
	p.AllowStyles("font-style").MatchingEnum("normal", "italic").Globally()
	p.AllowStyles("text-align").MatchingEnum("left", "right", "center", "justify").Globally()
	p.AllowStyles("text-decoration").MatchingEnum("none", "underline", "line-through").Globally()
	return p
}

// previewDocument wraps sanitised HTML in a whole document with our own style: black on white whatever the theme, and
// nothing wider than the frame.
func previewDocument(clean, lang, note string) []byte {
	var b strings.Builder
	b.WriteString(`<!doctype html><html lang="` + lang + `"><head><meta charset="utf-8"><title>.</title><style>` +
		`html{background:#fff;color:#1c1b19;font:15px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}` +
		`body{margin:16px}img,table{max-width:100%}img{height:auto}a{color:#0b5563;text-decoration:underline dotted}` +
		`pre{white-space:pre-wrap}.gatepost-note{border:1px solid #b9b4a8;padding:8px;margin-bottom:16px}</style></head><body>`)
	if note != "" {
		b.WriteString(`<p class="gatepost-note">` + note + `</p>`)
	}
	b.WriteString(clean)
	b.WriteString(`</body></html>`)
	return []byte(b.String())
}
