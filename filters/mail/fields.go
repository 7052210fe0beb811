package mail

import (
	"strings"
)

// A singleField is one that RFC 5322 section 3.6 or RFC 2045 allow once.
type singleField int

const (
	notSingle singleField = iota
	singleDate
	singleFrom
	singleSubject
	singleMessageID
	singleMIME
	singleOther
)

// singleOf says which single field a name is, and a number for each of them.
func singleOf(name string) (kind singleField, number int) {
	switch len(name) {
	case 2:
		return pick(name, "To", singleOther, "Cc", singleOther, 0)
	case 3:
		return pick(name, "Bcc", singleOther, "", 0, 2)
	case 4:
		return pick(name, "From", singleFrom, "Date", singleDate, 4)
	case 6:
		return pick(name, "Sender", singleOther, "", 0, 6)
	case 7:
		return pick(name, "Subject", singleSubject, "", 0, 8)
	case 8:
		return pick(name, "Reply-To", singleOther, "", 0, 10)
	case 10:
		return pick(name, "Message-ID", singleMessageID, "References", singleOther, 12)
	case 11:
		return pick(name, "In-Reply-To", singleOther, "", 0, 14)
	case 12:
		return pick(name, "Content-Type", singleMIME, "MIME-Version", singleMIME, 16)
	case 25:
		return pick(name, "Content-Transfer-Encoding", singleMIME, "", 0, 18)
	}
	return notSingle, 0
}

const singles = 20 // numbers that singleOf gives

func pick(name, a string, ka singleField, b string, kb singleField, number int) (singleField, int) {
	switch {
	case strings.EqualFold(name, a):
		return ka, number
	case b != "" && strings.EqualFold(name, b):
		return kb, number + 1
	}
	return notSingle, 0
}

// lineEnds surveys the line ends of the whole message.
func (w *walker) lineEnds() {
	v := &w.lines
	w.m.fail(w.m.space.look(v))
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

// checkFields records what is wrong with the fields that say who wrote the message, when, and of what kind it is.
func (w *walker) checkFields() {
	var seen [singles]bool
	froms := 0
	for i := range w.m.block.fields {
		f := &w.m.block.fields[i]
		kind, n := singleOf(f.Name)
		if kind == notSingle {
			continue
		}
		if seen[n] {
			w.duplicate(kind, *f)
		}
		seen[n] = true
		switch kind {
		case singleFrom:
			froms++
			w.checkHidden(*f)
		case singleSubject:
			w.checkHidden(*f)
		case singleDate:
			w.checkLength(*f, maxDate)
		case singleMessageID:
			w.checkLength(*f, 1000)
		}
	}
	w.checkAuthors(froms)
}

func (w *walker) checkLength(f Field, longest int) {
	if len(f.Value) > longest {
		w.d.add("header.overlong-value", f.Span)
	}
}

func (w *walker) checkHidden(f Field) {
	if strings.Contains(f.Value, "=?") && Hidden(DecodeWords(Unfold(f.Value))) {
		w.d.add("header.hidden-characters", f.Span)
	}
}

func (w *walker) duplicate(kind singleField, f Field) {
	switch kind {
	case singleFrom:
		w.d.add("header.from-twice", f.Span)
	case singleMIME:
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
	if len(list) == 1 && len(list[0].Defects) == 0 {
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
