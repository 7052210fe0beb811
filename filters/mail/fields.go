package mail

import (
	"strings"
)

// single lists the fields that RFC 5322 section 3.6 and RFC 2045 allow once.
var single = [...]string{"Date", "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Message-ID", "In-Reply-To",
	"References", "Subject", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"}

// lineEnds surveys the line ends of the whole message.
func (w *walker) lineEnds() {
	v, err := w.m.space.look()
	w.m.fail(err)
	if v.mixed >= 0 {
		w.d.add("line-ends.bare-lf", Span{v.mixed, v.mixed + 1})
	}
	if v.cr > v.crlf {
		w.d.add("line-ends.bare-cr", Span{})
	}
	if v.longest > maxLine {
		w.d.add("line-ends.long-line", Span{})
	}
}

const maxLine = 64 << 10

// checkFields records what is wrong with the fields that say who wrote the message.
func (w *walker) checkFields() {
	b := &w.m.block
	var seen [len(single)]int
	for _, f := range b.fields {
		if !mayBeSingle(f.Name) {
			continue
		}
		for i, name := range single {
			if len(f.Name) != len(name) || !strings.EqualFold(f.Name, name) {
				continue
			}
			if seen[i]++; seen[i] == 2 {
				w.duplicate(name, f)
			}
			if name == "Date" && len(f.Value) > maxDate || name == "Message-ID" && len(f.Value) > 1000 {
				w.d.add("header.overlong-value", f.Span)
			}
			if (name == "Subject" || name == "From") && strings.Contains(f.Value, "=?") && Hidden(DecodeWords(Unfold(f.Value))) {
				w.d.add("header.hidden-characters", f.Span)
			}
		}
	}
	w.checkAuthors(seen[1])
}

// mayBeSingle is a quick look at the first letter: most fields of a message are Received or begin with X.
func mayBeSingle(name string) bool {
	switch name[0] | 0x20 {
	case 'b', 'c', 'd', 'f', 'i', 'm', 's', 't':
		return true
	case 'r':
		return len(name) > 2 && (name[2]|0x20 == 'p' || name[2]|0x20 == 'f')
	}
	return false
}

func (w *walker) duplicate(name string, f Field) {
	switch {
	case name == "From":
		w.d.add("header.from-twice", f.Span)
	case strings.HasPrefix(name, "Content-") || name == "MIME-Version":
		w.d.add("header.duplicate-mime", f.Span)
	default:
		w.d.add("header.duplicate", f.Span)
	}
}

// checkAuthors records every way in which programs may show another author.
func (w *walker) checkAuthors(froms int) {
	hidden := 0
	for _, f := range w.m.block.hidden {
		if strings.EqualFold(f.Name, "From") {
			hidden++
			w.d.add("header.from-hidden", f.Span)
		}
	}
	if froms+hidden == 0 {
		w.d.add("header.from-missing", w.m.block.span)
		return
	}
	list := w.m.Authors()
	if len(list) == 0 {
		w.d.add("from.unreadable", w.m.Fields("From")[0].Span)
		return
	}
	distinct := map[string]bool{}
	odd := false
	for _, a := range list[:min(len(list), 1000)] {
		distinct[strings.ToLower(a.Address)] = true
		for _, d := range a.Defects {
			if d != MailboxSplit {
				w.d.add("from."+d, a.Span)
			}
			odd = odd || d == MailboxSplit
		}
	}
	switch {
	case odd && len(distinct) > 1:
		w.d.add("from.split", list[0].Span)
	case odd:
		w.d.add("from.odd", list[0].Span)
	case len(distinct) > 1:
		w.d.add("from.many", list[0].Span)
	}
}
