package mail

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// multipart looks into a multipart body by every boundary that it may have.
func (w *walker) multipart(j job, p *Part, types []typed) {
	if j.depth >= maxDepth {
		w.note(p, "mime.too-deep")
		return
	}
	if p.encodings[0] != "identity" {
		w.encodedMultipart(j, p)
	}
	boundaries := w.boundaries(p, types)
	found := 0
	j.outer = w.nested(p, j.outer, boundaries)
	for _, b := range boundaries {
		target := p
		if found > 0 {
			if target = w.alternate(p, p.body); target == nil {
				return
			}
		}
		if w.split(j, target, b) {
			found++
		} else if target != p {
			p.others = p.others[:len(p.others)-1]
			w.parts--
		}
	}
	if found > 0 {
		return
	}
	if len(bytes.TrimSpace(w.head(p))) == 0 {
		w.note(p, "mime.multipart-empty")
		return
	}
	w.note(p, "mime.boundary-missing")
	w.undeclared(j, p, p.body)
}

// nested records a boundary that is the beginning of an outer one, or an outer one of it, and returns all of them.
func (w *walker) nested(p *Part, outer, inner []string) []string {
	for _, o := range outer {
		for _, b := range inner {
			if strings.HasPrefix(o, b) || strings.HasPrefix(b, o) && b != o+".REL" && b != o+".ALT" {
				w.note(p, "mime.boundary-nested")
			}
		}
	}
	return append(outer[:len(outer):len(outer)], inner...)
}

// head is the beginning of a part's body.
func (w *walker) head(p *Part) []byte {
	b, err := p.space.bytes(Span{p.body.Start, min(p.body.End, p.body.Start+1024)})
	w.m.fail(err)
	return b
}

// boundaries lists what the boundary may be, and records where programs differ on it.
func (w *walker) boundaries(p *Part, types []typed) []string {
	var list []string
	for i := range types {
		for _, v := range types[i].values("boundary") {
			v = strings.TrimRight(v, " \t")
			forms := []string{v}
			if strings.Contains(v, "=?") && strings.Contains(v, "?=") {
				forms = append(forms, DecodeWords(v))
			}
			for _, f := range forms {
				if len(f) > hugeBoundary {
					w.note(p, "mime.boundary-huge")
				}
				if f != "" && len(f) <= maxBoundary {
					list = appendNew(list, f)
				}
			}
		}
		for _, q := range types[i].params {
			if q.name == "boundary" {
				w.checkBoundary(p, q)
			}
		}
	}
	if len(list) > 1 {
		w.note(p, "mime.boundary-twice")
	}
	for _, b := range list {
		if len(b) > 70 {
			list = appendNew(list, b[:70]) // some compare no more than what RFC 2046 allows
		}
	}
	if len(list) > 4 {
		list = list[:4]
	}
	return list
}

// checkBoundary records a boundary that RFC 2046 section 5.1.1 does not allow.
func (w *walker) checkBoundary(p *Part, q param) {
	switch {
	case q.value == "":
		w.note(p, "mime.boundary-empty")
	case len(q.value) > 70 && len(q.value) <= hugeBoundary:
		w.note(p, "mime.boundary-long")
	case q.pct || q.section >= 0:
		w.note(p, "mime.boundary-encoded")
	}
	if strings.HasSuffix(q.value, " ") || strings.ContainsAny(q.value, "\r\n\x00\t") {
		w.note(p, "mime.boundary-odd")
	}
}

// split cuts a part's body at the lines of one boundary. It returns false if there are none.
func (w *walker) split(j job, p *Part, boundary string) bool {
	if !w.spend(p.body.End-p.body.Start, p.Body) {
		return false
	}
	var room [8]delimiter
	all := w.delimiters(room[:0], p, boundary)
	exact := all
	if slices.ContainsFunc(all, func(d delimiter) bool { return d.loose }) {
		exact = slices.DeleteFunc(slices.Clone(all), func(d delimiter) bool { return d.loose })
	}
	if len(all) == 0 {
		return false
	}
	if len(all) > len(exact) && !onlyClosing(p, all, len(exact)) {
		w.note(p, "mime.boundary-prefix")
		if alt := w.alternate(p, p.body); alt != nil {
			w.cut(j, alt, all)
		}
	}
	if len(exact) == 0 {
		return false
	}
	w.cut(j, p, exact)
	return true
}

// delimiters appends the lines of one boundary in a part's body.
func (w *walker) delimiters(list []delimiter, p *Part, boundary string) []delimiter {
	if p.space == w.m.space && w.lines.marks.whole && strings.IndexByte(boundary, '\n') < 0 {
		return w.lines.marks.delimiters(list, p.space.data, p.space.clip(p.body), boundary)
	}
	list, err := findDelimiters(list, p.space, p.body, boundary)
	w.m.fail(err)
	return list
}

// onlyClosing reports whether the one loose delimiter is the last line that matters: a closing one with something
// behind it.
func onlyClosing(p *Part, all []delimiter, exact int) bool {
	last := all[len(all)-1]
	return len(all)-exact == 1 && last.loose && last.close && p.body.End-last.end < 4
}

// cut makes a child of what stands between each two delimiters, and parts of what stands before and behind them.
func (w *walker) cut(j job, p *Part, list []delimiter) {
	in := j
	in.depth++
	in.digest = p.Type == "multipart/digest"
	w.coming = len(list)
	for _, d := range list {
		if d.close {
			w.coming--
		}
	}
	if p.Children == nil {
		p.Children = make([]*Part, 0, max(0, min(w.coming, maxParts-w.parts)))
	}
	w.outside(in, p, Span{p.body.Start, list[0].start}, RolePreamble)
	closed := false
	for i, d := range list {
		next := p.body.End
		if i+1 < len(list) {
			next = list[i+1].start
		}
		if d.close {
			closed = true
			if i+1 < len(list) && !list[i+1].close {
				w.note(p, "mime.parts-after-end")
			}
			w.outside(in, p, Span{min(d.end, next), next}, RoleEpilogue)
			continue
		}
		if d.end >= p.body.End && i+1 == len(list) {
			break
		}
		child := w.entity(p.space, Span{min(d.end, next), max(next, d.end)}, in, p.childPath(strconv.Itoa(len(p.Children)+1)), ofPart)
		if child == nil {
			return
		}
		p.Children = append(p.Children, child)
	}
	if !closed {
		w.note(p, "mime.boundary-unclosed")
	}
}

// outside keeps what stands before the first or behind the last delimiter, if there is anything.
func (w *walker) outside(j job, p *Part, sp Span, role Role) {
	if sp.End-sp.Start < 4 {
		return
	}
	head, err := p.space.bytes(Span{sp.Start, min(sp.End, sp.Start+1024)})
	w.m.fail(err)
	text := bytes.TrimSpace(head)
	if len(text) == 0 && sp.End-sp.Start <= 1024 || !w.take(p.space.place(sp)) {
		return
	}
	if sp.End-sp.Start > 1024 {
		w.d.add("mime."+string(role)+"-long", p.space.place(sp))
	}
	q := &Part{m: w.m, space: p.space, body: sp, Body: p.space.place(sp), Role: role, Type: "text/plain",
		encodings: identityOnly, path: p.childPath(string(role[:1]) + strconv.Itoa(len(p.others)+1))}
	if len(text) > 8 && bytes.EqualFold(text[:8], []byte("content-")) {
		// Headers outside of all parts: for some programs this is a part like the others.
		if e := w.entity(p.space, sp, j, q.path, ofPart); e != nil {
			e.Role = role
			p.others = append(p.others, e)
			w.d.add("mime."+string(role)+"-part", p.space.place(sp))
			return
		}
	}
	p.others = append(p.others, q)
	w.undeclared(j, q, sp)
	w.leaf(q)
}

// undeclared looks for parts whose boundary nobody declared.
func (w *walker) undeclared(j job, p *Part, sp Span) {
	if sp.End-sp.Start < 64 || j.depth >= maxDepth {
		return
	}
	for _, b := range sniffBoundaries(p.space, sp) {
		alt := w.alternate(p, sp)
		if alt == nil {
			return
		}
		alt.Type = "multipart/mixed"
		w.note(p, "mime.boundary-undeclared")
		if !w.split(j, alt, b) {
			p.others = p.others[:len(p.others)-1]
			w.parts--
		}
	}
}

// encodedMultipart decodes a multipart that claims an encoding which RFC 2045 section 6.4 forbids, as some do.
func (w *walker) encodedMultipart(j job, p *Part) {
	if p.encodings[0] == "quoted-printable" {
		w.note(p, "mime.multipart-encoded-qp")
	} else {
		w.note(p, "mime.multipart-encoded")
	}
	s := w.decodedSpace(p)
	if s == nil {
		return
	}
	alt := w.alternate(p, p.body)
	if alt == nil {
		return
	}
	alt.space, alt.body, alt.encodings = s, Span{0, s.size}, identityOnly
	for _, b := range w.boundaries(p, p.types) {
		if w.split(j, alt, b) {
			return
		}
	}
	p.others = p.others[:len(p.others)-1]
	w.parts--
}
