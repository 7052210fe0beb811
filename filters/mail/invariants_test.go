package mail

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// invariants checks what must hold for the parse of any bytes.
func invariants(m *Message, data []byte) error {
	if m.Err() != nil {
		return m.Err()
	}
	if b := slicesOf(m); !bytes.Equal(b, data) {
		return fmt.Errorf("writing the spans without edits gives %d octets, not the %d of the input", len(b), len(data))
	}
	size := int64(len(data))
	for _, d := range m.Defects {
		if _, known := defectIndex[d.Code]; !known {
			return fmt.Errorf("%s is not documented", d.Code)
		}
		if d.Span.Start < 0 || d.Span.End < d.Span.Start || d.Span.End > size {
			return fmt.Errorf("%s stands at %v of %d", d.Code, d.Span, size)
		}
	}
	parts := 0
	if err := inside(m.Root, size, &parts); err != nil {
		return err
	}
	if parts > maxParts {
		return fmt.Errorf("%d parts", parts)
	}
	if s := m.Text(); len(s) > maxShown || !utf8.ValidString(s) {
		return fmt.Errorf("text of %d octets", len(s))
	}
	for _, l := range m.Links() {
		if len(l.URL) > maxURL+16 || strings.ContainsAny(l.URL, "\r\n\t") {
			return fmt.Errorf("link %q", l.URL)
		}
	}
	for _, a := range m.Authors() {
		if Hidden(a.Address) || Hidden(a.Name) {
			return fmt.Errorf("author %+v", a)
		}
	}
	return nil
}

// slicesOf writes the message as its fields, the gaps between them and its body.
func slicesOf(m *Message) []byte {
	var b []byte
	var at int64
	for _, f := range m.Header {
		b = append(b, m.Bytes(Span{at, f.Span.Start})...)
		b = append(b, m.Bytes(f.Span)...)
		at = f.Span.End
	}
	b = append(b, m.Bytes(Span{at, m.HeaderSpan().End})...)
	return append(b, m.Bytes(m.BodySpan())...)
}

// inside checks that no octet of a part stands outside of its parent or of the message.
func inside(p *Part, size int64, parts *int) error {
	*parts++
	if p.Body.Start < 0 || p.Body.End < p.Body.Start || p.Body.End > size {
		return fmt.Errorf("part %s stands at %v of %d", p.Path(), p.Body, size)
	}
	for _, n := range p.Names() {
		if Hidden(n) || strings.ContainsAny(n, "/\\") {
			return fmt.Errorf("name %q", n)
		}
	}
	p.View()
	for _, list := range [][]*Part{p.Children, p.Others()} {
		for _, c := range list {
			if c.Role == RolePart && c.Body != p.Body && (c.Body.Start < p.Body.Start || c.Body.End > p.Body.End) {
				return fmt.Errorf("part %s at %v is outside of %v", c.Path(), c.Body, p.Body)
			}
			if err := inside(c, size, parts); err != nil {
				return err
			}
		}
	}
	return nil
}
