package mail

import (
	"bytes"
	"io"
	"iter"
	"strings"
	"sync"
	"time"
)

// A Source holds the bytes of one message as received: dots unstuffed, CRLF kept, never modified.
// ReadAt may be called concurrently. A *bytes.Reader is a Source; Memory is one that Parse does not copy, as is any
// that also has a method Bytes() []byte; nil from it means that the message is not in memory after all.
type Source interface {
	io.ReaderAt
	Size() int64
}

// A Span is a half-open range of byte offsets into a Source.
type Span struct{ Start, End int64 }

// A Field is one header field. Name and Value are substrings of the header block that Parse copied once.
type Field struct {
	Name  string // as written, without the colon and without blanks before it
	Value string // as written after the colon, folds included, without the final line end
	Span  Span   // the whole field with its final line end
}

// named reports whether f has that name, in any case.
func (f *Field) named(name string) bool {
	return len(f.Name) == len(name) && f.Name[0]|0x20 == name[0]|0x20 && strings.EqualFold(f.Name, name)
}

// fieldKey is the same for all spellings of a name, and other for most others.
func fieldKey(name string) byte {
	n := len(name)
	return byte(n) ^ (name[0]|0x20)<<3 ^ (name[n/2]|0x20)<<1 ^ (name[n-1] | 0x20)
}

// A Defect is one way in which bytes break the standards, above all one that mail programs read differently.
type Defect struct {
	Code string // such as "mime.boundary-twice"; the list is in codes.go
	Text string // one English sentence without bytes of the message
	Span Span   // where it stands
}

// A Message is the one parse of a Source, shared by all filters. It is immutable to its readers; decoded forms are
// computed on first use and kept. Parse never refuses bytes, it records Defects. Every reading that a mail program
// could take is visible. All methods may be called concurrently.
type Message struct {
	Source  Source
	Header  []Field
	Root    *Part
	Defects []Defect

	space  *space
	block  headerBlock
	keys   []byte // fieldKey of each field of block
	leaves []*Part

	mu     sync.Mutex
	budget int64 // octets of decoded content that may still be kept
	err    error

	authors []Mailbox
	date    lazy[time.Time]
	text    lazy[string]
	links   lazy[foundLinks]
}

// A lazy value is made when it is first asked for.
type lazy[T any] struct {
	once  sync.Once
	value T
}

func (l *lazy[T]) get(read func() T) T {
	l.once.Do(func() { l.value = read() })
	return l.value
}

// parsed is what every parse needs, in one piece of memory.
type parsed struct {
	Message
	root   Part
	source space
	author [1]Mailbox
	leaf   [1]*Part
	key    [64]byte
}

// keptContent bounds the decoded content that one message keeps in memory. What does not fit is decoded again when
// it is asked for.
const keptContent = 4 << 20

// Parse reads src once. It never fails; what it could not make sense of is in Defects. If src cannot be read, the
// parse ends there and Err says why.
func Parse(src Source) *Message {
	m := newMessage(src)
	m.fail(m.source.open(src))
	m.parse(&m.source)
	return &m.Message
}

func newMessage(src Source) *parsed {
	return &parsed{Message: Message{Source: src, budget: keptContent}}
}

// parse reads the whole message from s.
func (m *parsed) parse(s *space) {
	m.space = s
	w := walkers.Get().(*walker)
	*w = walker{m: &m.Message, work: 40*s.size + 1<<20, decoded: 2*s.size + 1<<20, parts: 1}
	w.lineEnds()
	var err error
	m.block, err = readHeader(s, Span{0, s.size}, &w.d, ofMessage)
	m.fail(err)
	m.Header, m.keys = m.block.fields, m.key[:0]
	for i := range m.Header {
		m.keys = append(m.keys, fieldKey(m.Header[i].Name))
	}
	m.authors = m.addresses(m.author[:0], "From")
	w.checkFields()
	m.Root = &m.root
	w.part(m.Root, s, m.block, s.size, "")
	w.queue = append(w.first[:0], job{p: m.Root, borders: m.block.others})
	w.run()
	m.Defects = w.d.list
	*w = walker{} // what is kept for the next message must not keep this one
	walkers.Put(w)
	if m.err != nil {
		m.Defects = append(m.Defects, Defect{"source.unreadable", defectIndex["source.unreadable"].Meaning, Span{}})
	}
	m.leaves = leaves(m.leaf[:0], m.Root)
}

// fail keeps the first error of reading the Source.
func (m *Message) fail(err error) {
	if err == nil {
		return
	}
	m.mu.Lock()
	if m.err == nil {
		m.err = err
	}
	m.mu.Unlock()
}

// Err is not nil if the Source could not be read: then the parse is not the whole message, and nobody may judge by
// it. Malformed messages are no error.
func (m *Message) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// reserve takes octets from the budget for kept content.
func (m *Message) reserve(size int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if size > m.budget {
		return false
	}
	m.budget -= size
	return true
}

// Fields are all header fields of that name, in any case: those of Header in order, then those that only lenient
// programs see, such as one hidden behind a bare CR.
func (m *Message) Fields(name string) []Field {
	var list []Field
	for f := range m.named(name) {
		list = append(list, *f)
	}
	return list
}

// Has reports whether there is a field of one of these names.
func (m *Message) Has(names ...string) bool {
	for _, name := range names {
		for range m.named(name) {
			return true
		}
	}
	return false
}

// Get is the first field of that name: unfolded, not decoded; empty if there is none.
func (m *Message) Get(name string) string {
	if i := m.next(name, 0); i >= 0 {
		return Unfold(m.block.fields[i].Value)
	}
	return ""
}

// next is the index of the first field of that name in the block at from or behind it; -1 if there is none.
func (m *Message) next(name string, from int) int {
	if name == "" {
		return -1
	}
	for key := fieldKey(name); ; from++ {
		n := bytes.IndexByte(m.keys[from:], key)
		if n < 0 {
			return -1
		}
		if from += n; m.block.fields[from].named(name) {
			return from
		}
	}
}

// named iterates over what Fields returns.
func (m *Message) named(name string) iter.Seq[*Field] {
	return func(yield func(*Field) bool) {
		for i := m.next(name, 0); i >= 0; i = m.next(name, i+1) {
			if !yield(&m.block.fields[i]) {
				return
			}
		}
		for i := range m.block.hidden {
			if f := &m.block.hidden[i]; f.named(name) && !yield(f) {
				return
			}
		}
	}
}

// Decoded is the first field of that name as text: unfolded, encoded-words decoded. Characters that cannot be seen
// are kept: see Hidden and Visible.
func (m *Message) Decoded(name string) string { return DecodeWords(m.Get(name)) }

// Subject is the subject as a reader sees it.
func (m *Message) Subject() string { return Visible(m.Decoded("Subject")) }

// MessageID is the Message-ID without angle brackets, at most 998 octets, without characters that cannot be seen.
func (m *Message) MessageID() string {
	id := m.Get("Message-ID")
	if n := strings.IndexByte(id, '<'); n >= 0 {
		id = id[n+1:]
		id, _, _ = strings.Cut(id, ">")
	}
	return Visible(id[:min(len(id), 998)])
}

// Authors are all addresses that a reader may be shown as the author: from every From field, those that only
// lenient programs see included.
func (m *Message) Authors() []Mailbox { return m.authors }

// Addresses are all addresses in all fields of that name, read tolerantly.
func (m *Message) Addresses(name string) []Mailbox { return m.addresses(nil, name) }

func (m *Message) addresses(list []Mailbox, name string) []Mailbox {
	for f := range m.named(name) {
		first := len(list)
		list = appendMailboxes(list, f.Value[:min(len(f.Value), maxField)])
		for i := range list[first:] {
			list[first+i].Span = f.Span
		}
	}
	return list
}

// HeaderSpan is the header block, with the blank line that ends it.
func (m *Message) HeaderSpan() Span { return m.block.span }

// BodySpan is everything behind the header block.
func (m *Message) BodySpan() Span { return Span{m.block.body, m.space.size} }

// Bytes is what stands in sp: part of the Source's memory if it is in memory, else a copy. Nobody may write to it.
func (m *Message) Bytes(sp Span) []byte {
	b, err := m.space.bytes(sp)
	m.fail(err)
	return b
}

// Size is the number of octets of the message.
func (m *Message) Size() int64 { return m.space.size }

// Parts iterates over all leaves in every reading, in order; parts with the same octets may come more than once.
func (m *Message) Parts() iter.Seq[*Part] {
	return func(yield func(*Part) bool) {
		for _, p := range m.leaves {
			if !yield(p) {
				return
			}
		}
	}
}

// leaves appends the leaves under p; recursion is bounded by the limits of the tree.
func leaves(list []*Part, p *Part) []*Part {
	if p.Leaf() && !p.container() {
		list = append(list, p)
	}
	for _, c := range p.Children {
		list = leaves(list, c)
	}
	for _, c := range p.others {
		list = leaves(list, c)
	}
	return list
}
