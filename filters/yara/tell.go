package yara

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/filters/peer"
)

// maxPerCode is how many findings of one code are stated.
const maxPerCode = 16

// find states a finding, at most maxPerCode times per code.
func (q *inquiry) find(x filters.Finding) {
	if q.counts[x.Code]++; q.counts[x.Code] <= maxPerCode {
		q.facts.Findings = append(q.facts.Findings, x)
	}
}

// limit states that something was not scanned, or not all of it.
func (q *inquiry) limit(s filters.Stream, why string) {
	if s.Name != "" {
		why = mail.Printable(s.Name, 100) + ": " + why
	}
	q.find(filters.State(Codes(), codeLimit, filters.Evidence{Where: s.Where, What: mail.Printable(why, 200)}))
}

// closed states what could not be opened, unless attach has stated it. What needs more than a limit is stated in any case: this
// walk was another one.
func (q *inquiry) closed(blind []filters.Finding, known bool) {
	for _, x := range blind {
		code := codeClosed
		if x.Code == "attach.unscannable.limit" {
			code = codeLimit
		} else if known {
			continue
		}
		q.find(filters.State(Codes(), code, x.Proof...))
	}
}

// hit states a rule that matches.
func (q *inquiry) hit(h *hit, s filters.Stream) {
	name := mail.Printable(s.Name, 80)
	switch {
	case name != "":
	case s.Where == "body": // the message has one part
		name = "the body"
	default:
		name = s.Where
	}
	proof := []filters.Evidence{{Where: s.Where, What: mail.Printable(h.rule+" in "+name+h.places(), 200)}}
	if s.Where == "message" && len(h.at) > 0 {
		proof[0].At = &[2]int64{h.at[0].offset, h.at[0].length}
	}
	if about := h.about(q.f.book.files); about != "" {
		proof = append(proof, filters.Evidence{Where: s.Where, What: mail.Printable(about, 200)})
	}
	code := h.code(q.f.book.notes)
	text := map[string]string{codeMatch: "The YARA rule %s knows %s.", codeSuspicious: "The YARA rule %s finds something suspicious in %s.", codeInfo: "The YARA rule %s notes something of %s."}[code]
	q.find(filters.Finding{Code: code, Text: mail.Printable(fmt.Sprintf(text, h.rule, name), 300), Proof: proof})
}

// places says where the strings of a rule stand; they are numbers of octets from the file's beginning.
func (h *hit) places() string {
	var at []string
	for _, p := range h.at {
		at = append(at, p.name+" at "+strconv.FormatInt(p.offset, 10))
	}
	if h.more > 0 {
		at = append(at, strconv.Itoa(h.more)+" more")
	}
	if len(at) == 0 {
		return ""
	}
	return ": " + strings.Join(at, ", ")
}

// about is what a rule says of itself, and which file it stands in.
func (h *hit) about(files []string) string {
	var list []string
	for _, key := range []string{"description", "author", "reference"} {
		if v := h.meta[key]; v != "" {
			list = append(list, key+": "+mail.Printable(v, 90))
		}
	}
	if len(h.tags) > 0 {
		list = append(list, "tags: "+mail.Printable(strings.Join(h.tags, " "), 60))
	}
	if n, err := strconv.Atoi(strings.TrimPrefix(h.from, "r")); err == nil && n >= 1 && n <= len(files) {
		list = append(list, "from "+filepath.Base(files[n-1]))
	}
	return strings.Join(list, "; ")
}

// Conditions implements filters.Reporter: it has an empty file scanned now.
func (f *Filter) Conditions(ctx context.Context) []filters.Condition {
	ctx, cancel := peer.Within(ctx, min(f.cfg.Timeout, proveTime))
	defer cancel()
	c := filters.Condition{Name: "yara " + f.book.program, Detail: fmt.Sprintf("YARA %s, %d files of rules", f.book.version, len(f.book.files))}
	if c.Err = f.book.prove(ctx, f.cfg); c.Err != nil {
		c.Detail, c.Down = "", true
		c.Hint = "See that filters.yara.program runs; after YARA was upgraded, reload the configuration, so that the rules are compiled again."
	}
	return []filters.Condition{c}
}
