package mail

import "io"

// A Source holds the bytes of one message as received: dots unstuffed, CRLF kept, never modified.
// ReadAt may be called concurrently. A *bytes.Reader is a Source.
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

// A Defect is one way in which bytes break the standards, above all one that mail programs read differently.
type Defect struct {
	Code string // such as "mime.boundary-twice"; the list is in defects.go
	Text string // one English sentence without bytes of the message
	Span Span   // where it stands
}

// A Part is one leaf or branch of the MIME tree: spans into the Source, decoded on first use.
type Part struct {
	Header   []Field
	Type     string // declared media type, lower case, such as "text/plain"
	Body     Span   // the part's content as transmitted
	Children []*Part
}

// A Message is the one parse of a Source, shared by all filters. It is immutable to its readers; decoded forms are
// computed on first use and kept. Parse never refuses bytes, it records Defects. Every reading that a mail program
// could take is visible.
type Message struct {
	Source  Source
	Header  []Field
	Root    *Part
	Defects []Defect
}

// Parse reads src once. It never fails; what it could not make sense of is in Defects.
func Parse(src Source) *Message { return &Message{Source: src, Root: &Part{}} }
