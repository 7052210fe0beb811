package mail

import (
	"bytes"
	"sort"
)

// maxMarks is how many lines a message's marks remember.
const maxMarks = 64

// marks are the lines of a message in memory at which something may begin: a boundary, or a file in running text.
// They are gathered in the pass that looks at line ends, so that nobody has to search for lines again.
type marks struct {
	dashes [maxMarks]int // where lines with "--" begin
	n      int
	files  int  // where the first line begins that nextMark may stop at
	last   int  // and the last
	found  bool // files and last are
	full   bool // there are more dashes
	whole  bool // the marks are complete, and no CR stands without LF
}

func (m *marks) dash(at int, line []byte) {
	if !bytes.HasPrefix(line, dashes) {
		return
	}
	if m.n == maxMarks {
		m.full = true
		return
	}
	m.dashes[m.n] = at
	m.n++
	if bytes.HasPrefix(line, pgpBegin) {
		m.file(at)
	}
}

// other takes a line that begins with a character of an embedded file's mark.
func (m *marks) other(at int, line []byte) {
	if bytes.HasPrefix(line, uuBegin) || bytes.HasPrefix(line, yBegin) || bytes.HasPrefix(line, binHex) {
		m.file(at)
	}
}

func (m *marks) file(at int) {
	if !m.found {
		m.files, m.found = at, true
	}
	m.last = at
}

// noFile reports whether nextMark would find nothing in b, which stands at sp and begins a line.
func (m *marks) noFile(sp Span) bool {
	return m.whole && (!m.found || int64(m.last) < sp.Start || int64(m.files) >= sp.End)
}

// within are the lines that begin with "--" inside of sp.
func (m *marks) within(sp Span) []int {
	list := m.dashes[:m.n]
	list = list[sort.SearchInts(list, int(sp.Start)):]
	return list[:sort.SearchInts(list, int(sp.End))]
}
