package mail

import (
	"bytes"
	"fmt"
	"net/mail"
	"reflect"
	"strings"
	"testing"
)

// plainIsAlike says how the quick way to read a header differs from the one that reads all headers.
func plainIsAlike(data []byte) error {
	s := &space{data: data, size: int64(len(data))}
	quick, ok := readPlain(s, 0, data[:min(len(data), maxHeader)])
	if !ok {
		return nil
	}
	var d defects
	full := readOdd(s, Span{0, s.size}, data[:min(len(data), maxHeader)], &d, ofMessage)
	if len(d.list) > 0 {
		return fmt.Errorf("a plain header has %v", d.list)
	}
	if len(quick.fields) == 0 && len(full.fields) == 0 {
		quick.fields, full.fields = nil, nil
	}
	if !reflect.DeepEqual(quick, full) {
		return fmt.Errorf("read in the quick way: %+v\nnot %+v", quick, full)
	}
	return nil
}

// plainBoxIsAlike says the same of an address field.
func plainBoxIsAlike(value string) error {
	m, ok := plainMailbox(value)
	if !ok {
		return nil
	}
	r := mailboxReader{s: value}
	r.read()
	if !reflect.DeepEqual([]Mailbox{m}, r.list) {
		return fmt.Errorf("%q is read in the quick way as %+v, not %+v", value, m, r.list)
	}
	return nil
}

// What is read in the quick way is read as in the full way; and nearly all mail is read in the quick way.
func TestTheQuickWayReadsAlike(t *testing.T) {
	headers, plain, authors, simple := 0, 0, 0, 0
	for _, c := range []string{"mime-corpus", "phishing-pot-300/eml", "spamham-spamassassin/ham", "spamham-spamassassin/spam", "ham-modern-usrp/eml", "spoof-espoofer/eml"} {
		messages(t, corpora(t, c), func(name string, data []byte) {
			if err := plainIsAlike(data); err != nil {
				t.Errorf("%s/%s: %v", c, name, err)
			}
			data = crlf(data)
			if err := plainIsAlike(data); err != nil {
				t.Errorf("%s/%s: %v", c, name, err)
			}
			headers++
			if _, ok := readPlain(&space{}, 0, data); ok {
				plain++
			}
			for _, f := range Parse(Memory(data)).Fields("From") {
				if err := plainBoxIsAlike(f.Value); err != nil {
					t.Errorf("%s/%s: %v", c, name, err)
				}
				authors++
				if _, ok := plainMailbox(f.Value); ok {
					simple++
				}
			}
		}, ".eml", ".raw")
	}
	if 10*plain < 9*headers || 10*simple < 7*authors {
		t.Errorf("of %d headers %d are plain, of %d authors %d", headers, plain, authors, simple)
	}
}

// A message has the fields that it lists, those that only lenient programs see among them.
func TestAMessageHasTheFieldsThatItLists(t *testing.T) {
	m := Parse(Memory([]byte("Subject: a\r\nList-Id: <b>\r\nbroken\r\nFrom: c@d.example\r\n\r\ntext\r\n")))
	for _, name := range []string{"Subject", "subject", "List-Id", "From", "To", ""} {
		if got, want := m.Has("X-None", name), len(m.Fields(name)) > 0; got != want {
			t.Errorf("%q: %t, not %t", name, got, want)
		}
	}
	if m.Has() || m.Has("To", "Cc") {
		t.Error("fields that are not there")
	}
}

// plainDateIsAlike says how plainDate differs from the library.
func plainDateIsAlike(s string) error {
	got, ok := plainDate(s)
	if !ok {
		return nil
	}
	want, err := mail.ParseDate(s)
	_, east := want.Zone()
	if _, zone := got.Zone(); err != nil || !got.Equal(want) || zone != east {
		return fmt.Errorf("%q is %v, not %v, %v", s, got, want, err)
	}
	return nil
}

// Dates are read as the library reads them.
func TestPlainDatesAreReadAlike(t *testing.T) {
	dates, plain := 0, 0
	for _, c := range []string{"mime-corpus", "phishing-pot-300/eml", "spamham-spamassassin/ham", "spamham-spamassassin/spam", "ham-modern-usrp/eml"} {
		messages(t, corpora(t, c), func(name string, data []byte) {
			date := Parse(Memory(crlf(data))).Get("Date")
			if err := plainDateIsAlike(date); err != nil {
				t.Errorf("%s/%s: %v", c, name, err)
			}
			dates++
			if _, ok := plainDate(date); ok {
				plain++
			}
		}, ".eml", ".raw")
	}
	if 10*plain < 8*dates {
		t.Errorf("of %d dates %d are plain", dates, plain)
	}
	for _, s := range oddDates {
		if err := plainDateIsAlike(s); err != nil {
			t.Error(err)
		}
	}
}

var oddDates = []string{"Mon, 2 Jan 2006 15:04:05 -0700", "02 Jan 2006 15:04:05 +0000 (UTC)", "30 Feb 2006 15:04:05 +0000", "29 Feb 2004 23:59:59 -2359", "on , 2 Jan 2006 15:04:05 -0700", "n Tu, 2 Jan 2006 15:04:05 -0700",
	"0 Jan 2006 15:04:05 +0000", "1 anF 2006 15:04:05 +0000", "1 Jan 0000 15:04:05 +0000", "1 Jan 2006 24:04:05 +0000", "1 Jan 2006 15:04:60 +0000", "1 Jan 2006 15:04:05 +2400", "1 Jan 2006 15:04:05 +0060", "32 Jan 2006 15:04:05 +0000", "1 Jan 2006 15:04:05 -0000 ()"}

// FuzzDate: a date that is read in the quick way is read as the library reads it.
func FuzzDate(f *testing.F) {
	for _, s := range oddDates {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if err := plainDateIsAlike(s); err != nil {
			t.Fatal(err)
		}
	})
}

// The quick way leaves to the full way whatever a program could read in another way.
func TestTheQuickWayLeavesWhatIsOdd(t *testing.T) {
	const fine = "From: a@b.example\nSubject: x\n y\n"
	if _, ok := readPlain(&space{}, 0, wire(fine+"\nbody")); !ok {
		t.Error("a plain header is not plain")
	}
	for _, s := range []string{
		fine, fine + "X: y", " X: y\n\n", fine + " \n\n", fine + "\t \n" + fine + "\n", "X : y\n\n", "X\n : y\n\n", "X:: y\n\n", ": y\n\n", "X y\n\n",
		"From a@b.example\n" + fine + "\n", fine + "X: \x00\n\n", fine + "X: \xe9\n\n", fine + "X: a\rY: b\n\n", "\xc3\xa9: y\n\n", times(maxCuts+1, "X: y\n") + "\n",
		"X: " + times(maxField, "y") + "\n\n",
	} {
		for _, data := range [][]byte{[]byte(s), wire(s)} {
			if h, ok := readPlain(&space{}, 0, data); ok {
				t.Errorf("%.60q is plain: %v", data, h.fields)
			}
		}
	}
	for _, s := range []string{
		"", "a", "<a>", "@b", "a@", "a@b,c@d", "a@b c@d", "<a@b> c", "x <a@b", "a@b>", "x <<a@b>>", "x, <a@b>", "x@y <a@b>", `"x@y" <a@b>`, `"x\"" <a@b>`, `"x" "y" <a@b>`,
		"=?utf-8?q?x?= <a@b>", "\xe9 <a@b>", "x (y) <a@b>", "g: a@b;", "<@x:a@b>", "<mailto:a@b>", `"a"@b`, "a@[1.2.3.4]", "a@b.", ".a@b", "a@-b", "a@b..c", "a@xn--a.example", "<a @b>", "<a@b\n.c>", "x\ny <a@b>",
	} {
		if m, ok := plainMailbox(s); ok {
			t.Errorf("%q is plain: %+v", s, m)
		}
	}
}

// What the survey of the lines remembers leads to the same boundaries and files as a search does.
func TestMarksFindWhatASearchFinds(t *testing.T) {
	for _, data := range [][]byte{
		wire("--b\n\n--b--\n--bc\nx--b\n--b \n --b\n--b\t--\n--"), []byte("--b\n--b--\n-b\n---b\n"), wire("x\n--b"), wire("\n--b\r\n\n--b\n"), []byte("--b"),
		wire(times(2*maxMarks, "--b\n")),
	} {
		s := &space{data: data, size: int64(len(data))}
		var v survey
		if err := s.look(&v); err != nil {
			t.Fatal(err)
		}
		for start := range data {
			sp := Span{int64(start), int64(len(data))}
			want, err := findDelimiters(nil, s, sp, "b")
			if err != nil {
				t.Fatal(err)
			}
			if got := v.marks.delimiters(nil, data, sp, "b"); v.marks.whole && !reflect.DeepEqual(got, want) {
				t.Errorf("%q from %d: %+v, not %+v", data, start, got, want)
			}
		}
	}
	for _, text := range []string{"begin 644 x\n", "=ybegin x\n", string(binHex) + "\n", string(pgpBegin) + "\n"} {
		data := wire("From: a@b.example\n\nx\n" + text + "y\n")
		var v survey
		(&space{data: data, size: data.Size()}).lookOrPanic(&v)
		at := int64(bytes.Index(data, []byte(strings.TrimSpace(text))))
		if v.marks.noFile(Span{at, data.Size()}) || !v.marks.noFile(Span{0, at}) || !v.marks.noFile(Span{at + 1, data.Size()}) {
			t.Errorf("%q is not marked where it stands", text)
		}
	}
}

func (s *space) lookOrPanic(v *survey) {
	if err := s.look(v); err != nil {
		panic(err)
	}
}
