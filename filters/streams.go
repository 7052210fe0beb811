package filters

import (
	"bytes"
	"io"
	"iter"

	"gatepost/filters/mail"
)

// A Stream is one thing that a scanner outside this program is given to look at.
type Stream struct {
	Where string // "message", or "part 2.1"
	Name  string // likeliest file name, printable; empty if there is none
	Type  string // declared media type
	io.ReaderAt
	Size int64
}

// Streams are the whole message, and then every file in it in every reading that a mail program could take: a scanner takes
// mail apart by its own rules, and what only one of the two finds must be seen all the same.
func Streams(m *mail.Message) iter.Seq[Stream] {
	return func(yield func(Stream) bool) {
		if !yield(Stream{"message", "message.eml", "message/rfc822", m.Source, m.Source.Size()}) {
			return
		}
		for p := range m.Parts() {
			readings := p.Decoded()
			if !p.Attachment() && len(readings) < 2 && p.Role == mail.RolePart {
				continue
			}
			for i, r := range readings {
				if len(r.Data) == 0 || i > 0 && bytes.Equal(r.Data, readings[0].Data) {
					continue
				}
				if !yield(Stream{"part " + p.Path(), mail.Printable(p.Name(), 100), p.Type, bytes.NewReader(r.Data), int64(len(r.Data))}) {
					return
				}
			}
		}
	}
}
