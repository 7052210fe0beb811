package mail

import (
	"strconv"
	"strings"
	"sync"
)

// The bounds of the MIME tree.
const (
	maxParts    = 1000
	maxDepth    = 20 // multiparts inside each other
	maxMessages = 10 // messages inside each other

	hugeBoundary = 200  // octets of a boundary that nobody needs
	maxBoundary  = 2048 // octets of one that is followed
)

// A walker builds the tree of one message: a queue of parts whose bodies are still to be looked into. It is iterative,
// so depth costs no stack, and every loop counts against a budget.
type walker struct {
	m       *Message
	d       defects
	lines   survey
	queue   []job
	first   [4]job  // the queue of a message with few parts
	spare   []Part  // made together, still to be used
	types   []typed // likewise
	coming  int     // parts that are about to be made
	parts   int
	params  int   // of the fields that were read
	work    int64 // octets that may still be searched
	decoded int64 // octets that may still be decoded while the tree is built
}

// walkers are used again: each holds room for what an ordinary message needs while it is parsed.
var walkers = sync.Pool{New: func() any { return new(walker) }}

// A job is a part that was read and not yet looked into.
type job struct {
	p        *Part
	borders  []border
	header   int64 // where its header begins
	depth    int
	messages int
	digest   bool     // a child of multipart/digest: a message by default
	outer    []string // the boundaries of all multiparts around it
}

func (w *walker) note(p *Part, code string) { w.d.add(code, p.place(p.body)) }

// run looks into parts until none is left.
func (w *walker) run() {
	for i := 0; i < len(w.queue); i++ {
		w.lookInto(w.queue[i])
	}
	w.queue = nil
}

// take counts a new part against the limit.
func (w *walker) take(sp Span) bool {
	if w.parts >= maxParts {
		w.d.add("mime.too-many-parts", sp)
		return false
	}
	w.parts++
	return true
}

// spend counts octets that are about to be searched.
func (w *walker) spend(n int64, sp Span) bool {
	if w.work -= n; w.work < 0 {
		w.d.add("mime.too-much-work", sp)
		return false
	}
	return true
}

// entity reads a header and a body at sp and queues it.
func (w *walker) entity(s *space, sp Span, parent job, path string, kind headerKind) *Part {
	if !w.take(s.place(sp)) {
		return nil
	}
	h, err := readHeader(s, sp, &w.d, kind)
	if err != nil {
		w.m.fail(err)
		return nil
	}
	p := w.newPart()
	w.part(p, s, h, sp.End, path)
	w.queue = append(w.queue, job{p: p, borders: h.others, header: sp.Start, depth: parent.depth, messages: parent.messages, digest: parent.digest, outer: parent.outer})
	return p
}

// maxBatch is how many parts are made together.
const maxBatch = 16

// newPart is memory for one more part.
func (w *walker) newPart() *Part {
	if len(w.spare) == 0 {
		w.spare = make([]Part, max(1, min(w.coming, maxBatch)))
	}
	p := &w.spare[0]
	w.spare = w.spare[1:]
	w.coming--
	return p
}

// part fills in a part whose header is known and whose body ends at end.
func (w *walker) part(p *Part, s *space, h headerBlock, end int64, path string) {
	body := Span{h.body, end}
	p.Header, p.hidden, p.path = h.fields, h.hidden, path
	p.m, p.space, p.body, p.Body = w.m, s, body, s.place(body)
	w.readTypes(p)
}

// readTypes reads the fields that say what a part is: each of them, and each as tolerantly as anyone does.
func (w *walker) readTypes(p *Part) {
	var first [1]string
	codings := first[:0]
	for _, fs := range [2][]Field{p.Header, p.hidden} {
		for i := range fs {
			f := &fs[i]
			if len(f.Name) < 12 || f.Name[0]|0x20 != 'c' {
				continue
			}
			switch {
			case f.named("Content-Type"):
				p.types = w.typed(p.types, f.Value)
			case f.named("Content-Disposition"):
				p.dispositions = w.typed(p.dispositions, f.Value)
			case f.named("Content-Transfer-Encoding"):
				codings = append(codings, f.Value)
			}
		}
	}
	var odd string
	p.encodings, odd = encodings(codings)
	if odd != "" {
		w.note(p, odd)
	}
	if len(p.types) > 0 {
		p.Type = p.types[0].value
		w.checkTypes(p)
	}
	for i := range p.dispositions {
		if p.dispositions[i].over {
			w.note(p, "mime.too-many-parameters")
		}
	}
	if len(p.dispositions) > 0 || len(p.types) > 0 {
		w.collectNames(p)
	}
}

// typed appends a field's value to the list; the first of a list stands in memory that the walker makes for several.
func (w *walker) typed(list []typed, value string) []typed {
	t := parseTyped(value)
	if w.params += len(t.params); w.params > maxAllParams { // a thousand of each of a thousand parts would be hundreds of megabytes
		t.params, t.over = nil, true
	}
	if list != nil {
		return append(list, t)
	}
	if len(w.types) == 0 {
		w.types = make([]typed, 1+len(w.spare))
	}
	w.types[0] = t
	list, w.types = w.types[:1:1], w.types[1:]
	return list
}

// checkTypes records how the Content-Type fields disagree.
func (w *walker) checkTypes(p *Part) {
	for i := range p.types {
		t := &p.types[i]
		switch {
		case t.words:
			w.note(p, "mime.type-encoded-word")
		case t.odd:
			w.note(p, "mime.type-odd")
		}
		if t.over {
			w.note(p, "mime.too-many-parameters")
		}
		if i > 0 && (t.value != p.types[0].value || strings.HasPrefix(t.value, "multipart/") && t.get("boundary") != p.types[0].get("boundary")) {
			w.note(p, "mime.type-twice")
		}
	}
	if !strings.Contains(p.Type, "/") {
		w.note(p, "mime.type-odd")
	}
}

// lookInto finds the parts of a part, in every reading.
func (w *walker) lookInto(j job) {
	p := j.p
	if p.Type == "" {
		p.Type = "text/plain"
		if j.digest && len(p.types) == 0 {
			p.Type = "message/rfc822"
		}
	}
	w.descend(j, p, p.Type, p.types)
	for i := range p.types {
		if t := p.types[i].value; i > 0 && t != p.types[0].value && (strings.HasPrefix(t, "multipart/") || strings.HasPrefix(t, "message/")) {
			alt := w.alternate(p, p.body)
			if alt == nil {
				return
			}
			alt.Type, alt.types = t, p.types[i:i+1]
			w.descend(j, alt, t, alt.types)
		}
	}
	for _, b := range j.borders {
		w.otherBorder(j, b)
	}
}

// descend looks into a part of the given type.
func (w *walker) descend(j job, p *Part, kind string, types []typed) {
	switch {
	case strings.HasPrefix(kind, "multipart/"):
		w.multipart(j, p, types)
	case kind == "message/rfc822" || kind == "message/global" || kind == "message/news" || kind == "message/rfc2822":
		w.message(j, p)
	case kind == "message/partial":
		w.note(p, "mime.partial")
		w.leaf(p)
	case kind == "message/external-body":
		w.note(p, "mime.external-body")
		w.leaf(p)
	case isSMIME(p, kind):
		w.smime(j, p)
	default:
		w.leaf(p)
	}
}

// alternate adds another reading of a part's octets.
func (w *walker) alternate(p *Part, body Span) *Part {
	if !w.take(p.Body) {
		return nil
	}
	alt := &Part{Header: p.Header, hidden: p.hidden, m: w.m, space: p.space, body: body, Body: p.space.place(body),
		Role: RoleAlternate, types: p.types, dispositions: p.dispositions, encodings: p.encodings, names: p.names, Type: p.Type}
	alt.path = p.childPath("~" + strconv.Itoa(len(p.others)+1))
	p.others = append(p.others, alt)
	return alt
}

// otherBorder reads a part again with its header ending elsewhere.
func (w *walker) otherBorder(j job, b border) {
	p := j.p
	if b.fields > len(p.Header) {
		b.fields = len(p.Header)
	}
	if w.queue[0].p == p || b.body < p.body.Start {
		if !w.take(p.Body) {
			return
		}
		alt := w.newPart()
		w.part(alt, p.space, headerBlock{fields: p.Header[:b.fields], body: b.body}, p.body.End, p.childPath("~"+strconv.Itoa(len(p.others)+1)))
		alt.Role = RoleAlternate
		p.others = append(p.others, alt)
		w.queue = append(w.queue, job{p: alt, depth: j.depth + 1, messages: j.messages, digest: j.digest, outer: j.outer})
	}
}

// message looks into an attached message.
func (w *walker) message(j job, p *Part) {
	if j.messages >= maxMessages {
		w.note(p, "mime.messages-too-deep")
		return
	}
	j.messages++
	j.digest, j.outer = false, nil
	s, body := p.space, p.body
	if p.encodings[0] != "identity" {
		w.note(p, "mime.message-encoded")
		if s = w.decodedSpace(p); s == nil {
			return
		}
		body = Span{0, s.size}
	}
	if child := w.entity(s, body, j, p.childPath("1"), ofAttached); child != nil {
		p.Children = append(p.Children, child)
	}
}

// decodedSpace decodes a part and makes a space of what most programs would see.
func (w *walker) decodedSpace(p *Part) *space {
	size := p.body.End - p.body.Start
	if w.decoded -= size; w.decoded < 0 {
		w.note(p, "mime.too-much-decoded")
		return nil
	}
	r := p.Decoded()
	if len(r) == 0 {
		return nil
	}
	base := p.Body
	return &space{data: r[0].Data, size: int64(len(r[0].Data)), base: &base}
}
