package kinds

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"hash/fnv"
	"mime"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
)

// rcpt is whom every letter is for.
const rcpt = "someone@recipient.example"

// A Letter is one message.
type Letter struct {
	Name string
	Date time.Time
	Mail []byte // as it comes over the wire
}

// A draft is a letter as it is written down.
type draft struct {
	name    string
	year    int
	charset string
	marks   map[string]bool
	file    string
	header  []string // "Name: value", readable
	text    string
	hash    uint64 // of the name, for what is arbitrary
}

// Read makes the letters of a file. Errors name the letter.
func Read(text string) ([]Letter, error) {
	var list []Letter
	for _, part := range strings.Split("\n"+text, "\n== ")[1:] {
		d, err := parse(part)
		if err != nil {
			return nil, err
		}
		l, err := d.letter()
		if err != nil {
			return nil, fmt.Errorf("letter %s: %w", d.name, err)
		}
		list = append(list, l)
	}
	return list, nil
}

// parse reads one letter: its marks, its header and its text.
func parse(s string) (*draft, error) {
	first, rest, _ := strings.Cut(s, "\n")
	head, body, _ := strings.Cut(rest, "\n\n")
	words := strings.Fields(first)
	if len(words) == 0 {
		return nil, fmt.Errorf("a letter without a name before %.40q", rest)
	}
	d := &draft{name: words[0], year: 2020, charset: "utf-8", marks: map[string]bool{}, header: strings.Split(head, "\n"), text: strings.TrimRight(body, "\n") + "\n"}
	for _, m := range words[1:] {
		year, err := strconv.Atoi(m)
		file, named := strings.CutPrefix(m, "file=")
		switch {
		case err == nil:
			d.year = year
		case named:
			d.file = file
		case strings.Contains(" html alt gif oe U L R ", " "+m+" "):
			d.marks[m] = true
		default:
			d.charset = m
		}
	}
	if strings.HasPrefix(d.text, "<") && !d.marks["alt"] {
		d.marks["html"] = true
	}
	h := fnv.New64a()
	h.Write([]byte(d.name))
	d.hash = h.Sum64()
	return d, nil
}

// letter makes the message.
func (d *draft) letter() (Letter, error) {
	e, err := htmlindex.Get(d.charset)
	if err != nil {
		return Letter{}, fmt.Errorf("character set %q: %w", d.charset, err)
	}
	date := time.Date(d.year, time.Month(1+d.hash%12), int(1+d.hash/12%28), int(7+d.hash/336%12), int(d.hash/4032%60), 11, 0, time.UTC)
	var out bytes.Buffer
	for _, line := range d.fields(date) {
		name, value, ok := strings.Cut(line, ": ")
		if !ok {
			return Letter{}, fmt.Errorf("header line %q is not Name: value", line)
		}
		if value, err = d.words(e, value); err != nil {
			return Letter{}, err
		}
		fmt.Fprintf(&out, "%s: %s\n", name, value)
	}
	part, err := d.content(e)
	if err != nil {
		return Letter{}, err
	}
	out.WriteString(part)
	return Letter{Name: d.name, Date: date, Mail: bytes.ReplaceAll(out.Bytes(), []byte("\n"), []byte("\r\n"))}, nil
}

var domainOf = regexp.MustCompile(`@([A-Za-z0-9.-]+)>?`)

// fields are the header as it is written down and what a program adds to it.
func (d *draft) fields(date time.Time) []string {
	all := append([]string{}, d.header...)
	has := func(name string) bool { return strings.Contains("\n"+strings.Join(all, "\n"), "\n"+name+": ") }
	host, subject := "mail.example", ""
	for _, line := range all {
		if m := domainOf.FindStringSubmatch(line); m != nil && strings.HasPrefix(line, "From: ") {
			host = m[1]
		}
		if s, ok := strings.CutPrefix(line, "Subject: "); ok {
			subject = s
		}
	}
	if !has("To") {
		all = append(all, "To: "+rcpt)
	}
	id := fmt.Sprintf("<%s.%08x@%s>", date.Format("20060102150405"), uint32(d.hash), host)
	if d.marks["oe"] { // its identifiers hold the time in units of Windows
		ticks := uint64(date.UnixNano()/100) + 116444736000000000
		id = fmt.Sprintf("<%04x%08x$%08x$0a00a8c0@home>", d.hash&0xfff, ticks>>32, ticks&0xffffffff)
		all = append(all, "X-Priority: 3", "X-MSMail-Priority: Normal", "X-Mailer: Microsoft Outlook Express 6.00.2900.2180", "X-MimeOLE: Produced By Microsoft MimeOLE V6.00.2900.2180")
	}
	all = append(all, "Date: "+date.Format(time.RFC1123Z))
	if !has("Message-ID") {
		all = append(all, "Message-ID: "+id)
	}
	if d.marks["U"] {
		all = append(all, fmt.Sprintf("List-Unsubscribe: <https://www.%s/u?%x>, <mailto:leave@%s>", host, d.hash, host), "List-Unsubscribe-Post: List-Unsubscribe=One-Click")
	}
	if d.marks["L"] {
		name, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(subject, "Re: "), "["), "]")
		all = append(all, fmt.Sprintf("List-Id: <%s.lists.example>", strings.ReplaceAll(name, " ", "-")), "List-Post: <mailto:list@lists.example>")
	}
	if d.marks["R"] {
		all = append(all, fmt.Sprintf("In-Reply-To: <%x.5@recipient.example>", d.hash), fmt.Sprintf("References: <%x.5@recipient.example>", d.hash))
	}
	return append(all, "MIME-Version: 1.0")
}

// words encodes what is not ASCII in a field, word by word as programs do it.
func (d *draft) words(e encoding.Encoding, s string) (string, error) {
	if strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0 {
		return s, nil
	}
	name, address := s, ""
	if at := strings.LastIndex(s, " <"); at > 0 {
		name, address = strings.Trim(s[:at], `"`), s[at:]
	}
	var words []string
	for text := []rune(name); len(text) > 0; {
		n := min(len(text), 14)
		b, err := e.NewEncoder().Bytes([]byte(string(text[:n])))
		if err != nil {
			return "", fmt.Errorf("write %q in %s: %w", string(text[:n]), d.charset, err)
		}
		words = append(words, "=?"+d.charset+"?B?"+base64.StdEncoding.EncodeToString(b)+"?=")
		text = text[n:]
	}
	return strings.Join(words, "\n ") + address, nil
}

// plainOf is HTML without its tags, links beside their words.
func plainOf(html string) string {
	html = regexp.MustCompile(`<a href="([^"]*)">(.*?)</a>`).ReplaceAllString(html, "$2: $1 ")
	return strings.NewReplacer("&amp;", "&").Replace(strings.TrimSpace(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(strings.ReplaceAll(html, "</p>", "\n\n"), "")))
}

// content is the rest of the message from Content-Type on.
func (d *draft) content(e encoding.Encoding) (string, error) {
	html := d.marks["html"] || d.marks["alt"]
	kind := "text/plain"
	if html {
		kind = "text/html"
	}
	text, err := d.part(e, kind, d.text)
	if err != nil {
		return "", err
	}
	wrap := func(kind string, parts ...string) string {
		mark := fmt.Sprintf("%s_%x", kind[len("multipart/"):], d.hash)
		s := fmt.Sprintf("Content-Type: %s; boundary=\"%s\"\n\n", kind, mark)
		for _, p := range parts {
			s += "--" + mark + "\n" + p + "\n"
		}
		return s + "--" + mark + "--\n"
	}
	if d.marks["alt"] {
		plain, err := d.part(e, "text/plain", plainOf(d.text)+"\n")
		if err != nil {
			return "", err
		}
		text = wrap("multipart/alternative", plain, text)
	}
	if d.marks["gif"] {
		text = wrap("multipart/related", text, "Content-Type: image/gif; name=\"p.gif\"\nContent-ID: <pic@1>\nContent-Transfer-Encoding: base64\n\nR0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7\n")
	}
	if d.file != "" {
		file := mime.QEncoding.Encode("utf-8", d.file)
		text = wrap("multipart/mixed", text, fmt.Sprintf("Content-Type: application/octet-stream; name=\"%s\"\nContent-Disposition: attachment; filename=\"%s\"\nContent-Transfer-Encoding: base64\n\n%s\n",
			file, file, base64.StdEncoding.EncodeToString([]byte("a file for a test, with nothing in it"))))
	}
	return text, nil
}

// part is one text with its header.
func (d *draft) part(e encoding.Encoding, kind, text string) (string, error) {
	b, err := e.NewEncoder().Bytes([]byte(text))
	if err != nil {
		return "", fmt.Errorf("write the text in %s: %w", d.charset, err)
	}
	head := fmt.Sprintf("Content-Type: %s; charset=%s\n", kind, d.charset)
	if ascii := bytes.IndexFunc(b, func(r rune) bool { return r >= 0x80 }) < 0; ascii {
		return head + "Content-Transfer-Encoding: 7bit\n\n" + string(b), nil
	}
	coded := base64.StdEncoding.EncodeToString(b)
	for i := 76; i < len(coded); i += 77 {
		coded = coded[:i] + "\n" + coded[i:]
	}
	return head + "Content-Transfer-Encoding: base64\n\n" + coded + "\n", nil
}
