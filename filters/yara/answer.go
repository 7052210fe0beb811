package yara

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"gatepost/filters/peer"
)

// The bounds of what the program may say.
const (
	maxOutput = 64 << 20  // octets for one list of files; a file full of hits fills it
	maxLine   = 256 << 10 // octets of one line: a rule with all its meta data
	maxHits   = 64        // that are kept of each kind
	maxPlaces = 4         // that are kept of one hit
	maxMeta   = 200       // octets that are kept of one meta value
)

// A hit is one rule that matches one file.
type hit struct {
	file int    // its descriptor
	from string // namespace: which file of rules
	rule string
	tags []string
	meta map[string]string // of the keys in kept
	at   []place
	more int // further places
}

// A place is where a string of a rule stands in the file.
type place struct {
	offset, length int64
	name           string // "$a"
}

// kept are the meta data that are evidence, or say how grave a hit is.
var kept = map[string]bool{"description": true, "author": true, "reference": true, "severity": true, "score": true}

// An answer is what the program says of a list of files. It is read line by line:
//
//	r1:Rule [tag,tag] [key="text",key=true,key =75] /proc/self/fd/5
//	0x1c:68:$a
//
// A rule's line is followed by those of its strings. No octet of a file stands in it, and no name that a sender chose.
type answer struct {
	witness string       // the rule that matches every file: where it is missing, nobody looked
	files   map[int]bool // descriptors that may be named; true once the witness was there
	notes   map[string]bool
	hits    []hit
	counts  map[string]int // of hits by code
	last    *hit           // whose strings come now; nil: of nobody, or of one that is not kept
	any     bool           // a rule's line was there
}

// newAnswer expects an answer about so many files, whose first descriptor is given.
func newAnswer(witness string, notes map[string]bool, first, n int) *answer {
	a := &answer{witness: witness, notes: notes, files: make(map[int]bool, n), counts: map[string]int{}}
	for i := range n {
		a.files[first+i] = false
	}
	return a
}

// line takes one line, without its end. An error means that whoever wrote it is not YARA, or not one that we understand.
func (a *answer) line(b []byte) error {
	if bytes.HasPrefix(b, []byte("0x")) {
		p, ok := readPlace(string(b[:min(len(b), 400)]))
		if !ok || !a.any {
			return fmt.Errorf("it said %q, which is no place of a string", peer.ASCII(string(b), 100))
		}
		a.place(p)
		return nil
	}
	h, err := readHit(string(b))
	if err != nil {
		return fmt.Errorf("it said %q: %w (rules must not write by the module console)", peer.ASCII(string(b), 100), err)
	}
	seen, known := a.files[h.file]
	if !known {
		return fmt.Errorf("it spoke of a file %d that it was not given", h.file)
	}
	a.any, a.last = true, nil
	if h.from == witnessSpace {
		if h.rule != a.witness || seen {
			return errors.New("it spoke twice, or wrongly, of having seen a file")
		}
		a.files[h.file] = true
		return nil
	}
	code := h.code(a.notes)
	if a.counts[code]++; a.counts[code] <= maxHits {
		a.hits = append(a.hits, h)
		a.last = &a.hits[len(a.hits)-1]
	}
	return nil
}

// place keeps where a string stands.
func (a *answer) place(p place) {
	switch {
	case a.last == nil:
	case len(a.last.at) < maxPlaces:
		a.last.at = append(a.last.at, p)
	default:
		a.last.more++
	}
}

var placeLine = regexp.MustCompile(`^0x([0-9a-f]{1,16}):([0-9]{1,10}):(\$[A-Za-z0-9_]{0,128})$`)

// readPlace reads the line of a string.
func readPlace(s string) (p place, ok bool) {
	m := placeLine.FindStringSubmatch(s)
	if m == nil {
		return p, false
	}
	offset, err1 := strconv.ParseInt(m[1], 16, 64)
	length, err2 := strconv.ParseInt(m[2], 10, 64)
	return place{offset, length, m[3]}, err1 == nil && err2 == nil
}

var (
	hitHead = regexp.MustCompile(`^(r[0-9]{1,6}|` + witnessSpace + `):([A-Za-z_][A-Za-z0-9_]{0,127}) \[([A-Za-z0-9_,]*)\] \[`)
	hitTail = regexp.MustCompile(`^\] ` + descriptors + `([0-9]{1,5})$`)
	metaKey = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]{0,127}) ?=`)
)

// readHit reads the line of a rule.
func readHit(s string) (h hit, err error) {
	m := hitHead.FindStringSubmatch(s)
	if m == nil {
		return h, errors.New("that is no rule")
	}
	h = hit{from: m[1], rule: m[2], meta: map[string]string{}}
	if m[3] != "" {
		h.tags = strings.SplitN(m[3], ",", 33)
	}
	s, ok := h.readMeta(s[len(m[0]):])
	if !ok {
		return h, errors.New("its meta data have no end")
	}
	m = hitTail.FindStringSubmatch(s)
	if m == nil {
		return h, errors.New("no file of ours stands behind it")
	}
	h.file, err = strconv.Atoi(m[1])
	return h, err
}

// readMeta reads the meta data up to the bracket behind them, and keeps some of them.
func (h *hit) readMeta(s string) (rest string, ok bool) {
	for s != "" && s[0] != ']' {
		m := metaKey.FindStringSubmatch(s)
		if m == nil {
			return s, false
		}
		value, rest, ok := readValue(s[len(m[0]):])
		if !ok {
			return s, false
		}
		if key := strings.ToLower(m[1]); kept[key] {
			h.meta[key] = value
		}
		if rest != "" && rest[0] == ',' {
			rest = rest[1:]
			if rest == "" || rest[0] == ']' {
				return rest, false
			}
		} else if rest == "" || rest[0] != ']' {
			return rest, false
		}
		s = rest
	}
	return s, s != ""
}

// readValue reads a text in quotes, or a word up to the comma or bracket behind it. What is too long is cut.
func readValue(s string) (value, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		n := strings.IndexAny(s, ",]")
		if n <= 0 {
			return "", s, false
		}
		return peer.ASCII(s[:n], maxMeta), s[n:], true
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		c := s[i]
		if c == '"' {
			return b.String(), s[i+1:], true
		}
		if c == '\\' && i+1 < len(s) {
			if i++; s[i] == '"' || s[i] == '\\' || s[i] == '\'' || s[i] == '?' {
				c = s[i]
			} else {
				c = ' '
			}
		}
		if b.Len() < maxMeta {
			b.WriteByte(c)
		}
	}
	return "", "", false
}

// What a rule's own score means, as the makers of public rules use it: 75 and more is malware, below 40 a note.
const (
	scoreMatch      = 75
	scoreSuspicious = 40
)

// code is how grave a hit is by what the rule says of itself: severity in words, else score, else a tag; a rule that says
// nothing names malware. notes are the rules that the site takes for notes.
func (h *hit) code(notes map[string]bool) string {
	if notes[h.rule] {
		return codeInfo
	}
	if code := codeOfWord(h.meta["severity"]); code != "" {
		return code
	}
	if n, err := strconv.Atoi(h.meta["score"]); err == nil && n >= 0 && n <= 100 {
		switch {
		case n >= scoreMatch:
			return codeMatch
		case n >= scoreSuspicious:
			return codeSuspicious
		}
		return codeInfo
	}
	for _, tag := range h.tags {
		if code := codeOfWord(tag); code != "" {
			return code
		}
	}
	return codeMatch
}

// codeOfWord reads a severity; empty, if the word is none.
func codeOfWord(word string) string {
	switch strings.ToLower(word) {
	case "critical", "high", "malware", "malicious":
		return codeMatch
	case "medium", "moderate", "low", "suspicious":
		return codeSuspicious
	case "info", "informational", "none":
		return codeInfo
	}
	return ""
}

// A complaint is what the program wrote of its troubles.
type complaint struct {
	late    map[int]bool   // files for which it had no time
	failed  map[int]string // files that it could not scan, and why
	doubts  []string       // rules whose results it calls incorrect
	other   string         // the first line that is none of these
	overdue bool           // it took nearly all of its time, after which it leaves out what is left without a word
}

var (
	errorLine   = regexp.MustCompile(`^error scanning ` + descriptors + `([0-9]{1,5}): (.*)$`)
	warningLine = regexp.MustCompile(`^warning: rule "[^"]*".*(too many matches|incorrect|slow)`)
)

// maxDoubts is how many rules are kept whose results are doubtful.
const maxDoubts = 4

// readComplaint reads what stands on standard error.
func readComplaint(text string) complaint {
	c := complaint{late: map[int]bool{}, failed: map[int]string{}}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if m := errorLine.FindStringSubmatch(line); m != nil {
			file, _ := strconv.Atoi(m[1])
			if strings.Contains(m[2], "timed out") {
				c.late[file] = true
			} else {
				c.failed[file] = peer.ASCII(m[2], 100)
			}
			continue
		}
		switch {
		case warningLine.MatchString(line):
			if len(c.doubts) < maxDoubts {
				c.doubts = append(c.doubts, peer.ASCII(strings.TrimPrefix(line, "warning: "), 150))
			}
		case c.other == "":
			c.other = peer.ASCII(line, 150)
		}
	}
	return c
}
