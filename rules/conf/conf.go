package conf

import (
	"fmt"
	"time"
)

// A Pos is where something stands in a document; lines and columns count from 1.
type Pos struct {
	File      string
	Line, Col int
}

// String is "file:line:col", shorter where parts are unknown.
func (p Pos) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Col == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// A Problem is one thing wrong with a document.
type Problem struct {
	Pos     Pos
	Message string // what is wrong and what to do
	Hint    string // the likely key or value, if one is near: printed as (did you mean "…"?)
}

// Error is "file:line:col: message (did you mean "…"?)".
func (p Problem) Error() string {
	s := p.Pos.String() + ": " + p.Message
	if p.Hint != "" {
		s += fmt.Sprintf(" (did you mean %q?)", p.Hint)
	}
	return s
}

// A Size is a number of bytes; documents may write 25MiB, 512KiB, 10MB or a plain number.
type Size int64

// A Duration is a span of time; documents write 90s, 5m, 36h, 30d or 2w.
type Duration time.Duration
