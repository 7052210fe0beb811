package forward

import (
	"io"

	"gatepost/filters/mail"
)

// Edits are all that is ever changed in a message: spans left out, and text put before it. The source itself is
// not touched, so every other byte arrives as it came.
type Edits struct {
	Drop []mail.Span // in order, without overlap
	Add  string      // whole header fields with CRLF line ends, put first
}

// Reader yields the message with the edits made.
func (e Edits) Reader(src mail.Source) io.Reader {
	parts := []io.Reader{stringReader(e.Add)}
	var at int64
	for _, s := range e.Drop {
		parts = append(parts, io.NewSectionReader(src, at, s.Start-at))
		at = s.End
	}
	parts = append(parts, io.NewSectionReader(src, at, src.Size()-at))
	return io.MultiReader(parts...)
}
