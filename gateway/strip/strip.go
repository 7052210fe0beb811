package strip

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"gatepost/filters/mail"
)

// An Order says what to take out of one message.
type Order struct {
	Attachments bool              // all parts that are no readable text
	Parts       map[string]string // these, by mail.Part.Path, each with the reason that its notice gives
	Links       bool              // make the links of readable text such that nobody can click them, and drop its markup
	ID          string            // what a reader names to ask for the original
	Contact     string            // whom a reader asks
}

// A Stripped is a message without what was taken out. It is a mail.Source over the original, which must stay open.
type Stripped struct {
	pieces []piece
	size   int64
	Names  []string // of what was taken out, printable
}

// A piece is a span of the original, or text of ours.
type piece struct {
	at     int64 // in the stripped message
	from   int64 // in the original
	size   int64
	text   []byte // ours, if not nil
	source mail.Source
}

var (
	// ErrAmbiguous is the cause when mail programs read the message differently, so that a part may still be there for some.
	ErrAmbiguous = errors.New("mail programs read the message differently")
	// ErrLeft is the cause when a part is still there after it was taken out.
	ErrLeft = errors.New("a part could not be taken out")
)

// New takes out of m what o says. The result is read and parsed again before it is returned: nothing that was to go is left.
func New(m *mail.Message, o Order) (*Stripped, error) {
	for _, d := range m.Defects {
		if s := mail.SeverityOf(d.Code); s == mail.Ambiguous || s == mail.Refuse {
			return nil, fmt.Errorf("strip message: %w (%s)", ErrAmbiguous, d.Code)
		}
	}
	c := &cutter{m: m, o: o, gone: map[[sha256.Size]byte]bool{}}
	c.walk(m.Root)
	if c.err != nil {
		return nil, fmt.Errorf("strip message: %w", c.err)
	}
	if err := m.Err(); err != nil {
		return nil, fmt.Errorf("strip message: %w", err)
	}
	s := c.assemble()
	if err := c.verify(s); err != nil {
		return nil, fmt.Errorf("strip message: %w", err)
	}
	return s, nil
}

// A cut replaces a span of the original.
type cut struct {
	span mail.Span
	text string
}

// A cutter collects cuts, in the order of the message.
type cutter struct {
	m     *mail.Message
	o     Order
	cuts  []cut
	names []string
	gone  map[[sha256.Size]byte]bool // contents of what is taken out
	err   error
}

// walk decides about a part and, if it stays, about those in it.
func (c *cutter) walk(p *mail.Part) {
	if c.err != nil {
		return
	}
	reason, out := c.wanted(p)
	switch {
	case out:
		c.take(p, reason)
	case len(p.Children) > 0 && p.Encoding() != "identity" && c.within(p):
		c.take(p, "It holds a file that was to be removed.") // its parts have no place of their own in the message
	case len(p.Children) > 0:
		for _, child := range p.Children {
			c.walk(child)
		}
	case c.o.Links && p.View() != nil:
		c.defang(p)
	}
}

// wanted reports whether a part is to go, and why.
func (c *cutter) wanted(p *mail.Part) (reason string, out bool) {
	if reason, ok := c.o.Parts[p.Path()]; ok {
		return reason, true
	}
	for _, other := range p.Others() { // what stands in it beside its parts, such as uuencoded files
		if reason, ok := c.o.Parts[other.Path()]; ok {
			return reason, true
		}
		if c.o.Attachments && other.Role == mail.RoleEmbedded {
			return "", true
		}
	}
	if !c.o.Attachments || strings.HasPrefix(p.Type, "multipart/") {
		return "", false
	}
	return "", p.Attachment() && !(p == c.m.Root && p.Type == "" && p.Name() == "")
}

// within reports whether something inside a part is to go.
func (c *cutter) within(p *mail.Part) bool {
	for _, child := range append(slices.Clone(p.Children), p.Others()...) {
		if _, out := c.wanted(child); out || c.within(child) {
			return true
		}
	}
	return false
}

// take puts a notice in the place of a part.
func (c *cutter) take(p *mail.Part, reason string) {
	name := mail.Printable(p.Name(), 200)
	if name == "" {
		name = "(" + mail.Printable(p.Type, 100) + ")"
	}
	for _, r := range p.Decoded() {
		c.gone[sha256.Sum256(r.Data)] = true
	}
	c.names = append(c.names, name)
	c.replace(p, "attachment-removed.txt", notice(name, reason, c.o))
}

// defang replaces readable text by plain text without live links.
func (c *cutter) defang(p *mail.Part) {
	v := p.View()
	if v.Truncated || v.Unknown {
		c.take(p, "Its links could not be made harmless.")
		return
	}
	if !v.HTML && len(v.Links) == 0 {
		return
	}
	c.replace(p, "", defused(v.Text))
}

// replace puts a text part in the place of p.
func (c *cutter) replace(p *mail.Part, name, text string) {
	fields := "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: inline"
	if name != "" {
		fields += "; filename=" + name
	}
	fields += "\r\n"
	body := encode(text)
	if p == c.m.Root {
		c.root(fields, body)
		return
	}
	start := p.Body.Start
	if len(p.Header) > 0 {
		start = p.Header[0].Span.Start
	} else {
		start = c.blankLine(start)
	}
	c.cuts = append(c.cuts, cut{mail.Span{Start: start, End: p.Body.End}, fields + "\r\n" + body})
}

// blankLine is where the empty line before a part without header fields begins.
func (c *cutter) blankLine(start int64) int64 {
	var b [2]byte
	if start < 2 {
		return start
	}
	if _, err := c.m.Source.ReadAt(b[:], start-2); err != nil && err != io.EOF {
		c.err = err
		return start
	}
	if b[1] != '\n' {
		c.err = ErrAmbiguous
	} else if b[0] != '\r' {
		return start - 1
	}
	return start - 2
}

// root replaces the content of a message that is one part: the fields that say what it is, and the body.
func (c *cutter) root(fields, body string) {
	last := int64(0)
	mime := false
	for _, f := range c.m.Header {
		name := strings.ToLower(f.Name)
		last = max(last, f.Span.End)
		mime = mime || name == "mime-version"
		if strings.HasPrefix(name, "content-") {
			c.cuts = append(c.cuts, cut{span: f.Span})
		}
	}
	if !mime {
		fields = "MIME-Version: 1.0\r\n" + fields
	}
	c.cuts = append(c.cuts, cut{mail.Span{Start: last, End: c.m.Root.Body.End}, fields + "\r\n" + body})
}

// assemble makes the pieces.
func (c *cutter) assemble() *Stripped {
	s := &Stripped{Names: c.names}
	slices.SortFunc(c.cuts, func(a, b cut) int { return int(a.span.Start - b.span.Start) })
	at := int64(0)
	add := func(p piece) {
		if p.size == 0 {
			return
		}
		p.at, p.source = s.size, c.m.Source
		s.pieces = append(s.pieces, p)
		s.size += p.size
	}
	for _, cut := range c.cuts {
		add(piece{from: at, size: max(0, cut.span.Start-at)})
		add(piece{text: []byte(cut.text), size: int64(len(cut.text))})
		at = max(at, cut.span.End)
	}
	add(piece{from: at, size: c.m.Source.Size() - at})
	return s
}

// verify reads the stripped message as a mail program would.
func (c *cutter) verify(s *Stripped) error {
	m := mail.Parse(s)
	for _, d := range m.Defects {
		if v := mail.SeverityOf(d.Code); v == mail.Ambiguous || v == mail.Refuse {
			return fmt.Errorf("%w (%s)", ErrAmbiguous, d.Code)
		}
	}
	for p := range m.Parts() {
		if c.o.Attachments && p.Attachment() && p.Name() != "attachment-removed.txt" {
			return ErrLeft
		}
		for _, r := range p.Decoded() {
			if len(r.Data) > 0 && c.gone[sha256.Sum256(r.Data)] {
				return ErrLeft
			}
		}
	}
	return m.Err()
}

// Size implements mail.Source.
func (s *Stripped) Size() int64 { return s.size }

// ReadAt implements io.ReaderAt.
func (s *Stripped) ReadAt(b []byte, at int64) (n int, err error) {
	if at < 0 {
		return 0, errors.New("read at a negative offset")
	}
	i, _ := slices.BinarySearchFunc(s.pieces, at, func(p piece, at int64) int {
		switch {
		case p.at+p.size <= at:
			return -1
		case p.at > at:
			return 1
		}
		return 0
	})
	for ; n < len(b) && i < len(s.pieces); i++ {
		p := &s.pieces[i]
		skip := at + int64(n) - p.at
		want := b[n:min(int64(len(b)), int64(n)+p.size-skip)]
		if p.text != nil {
			copy(want, p.text[skip:])
		} else if m, err := p.source.ReadAt(want, p.from+skip); m < len(want) {
			return n + m, fmt.Errorf("read original: %w", err)
		}
		n += len(want)
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// Sum is the SHA-256 of the whole.
func (s *Stripped) Sum() (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(s, 0, s.size)); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// Changed reports whether anything was taken out or replaced.
func (s *Stripped) Changed() bool {
	return slices.ContainsFunc(s.pieces, func(p piece) bool { return p.text != nil })
}
