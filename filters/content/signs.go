package content

import (
	"fmt"
	"strings"
	"unicode"

	"gatepost/filters/mail"
)

// A Sign is something about the form of a message that rules may name at place sign.
type Sign struct{ Name, Meaning string }

// Signs lists every sign there is.
func Signs() []Sign {
	return []Sign{
		{"html_only", "there is HTML and no plain text beside it"},
		{"plain_only", "there is no HTML"},
		{"image_only", "HTML shows a picture and hardly any words"},
		{"image_heavy", "HTML shows a picture and less than 60 words"},
		{"one_image_link", "the only thing to see is a picture that is a link"},
		{"empty", "there are no words"},
		{"few_words", "there are less than 15 words"},
		{"short", "there are less than 60 words"},
		{"long", "there are more than 300 words"},
		{"very_long", "there are more than 1000 words: among so many, some stand together by chance"},
		{"no_link", "the message leads nowhere"},
		{"one_link", "all links lead to one host"},
		{"many_links", "there are more than 30 links"},
		{"remote_image", "HTML fetches a picture when it is read"},
		{"attachment", "a file is attached"},
		{"hidden_words", "HTML hides many words from the reader, more than it shows half of"},
		{"word_salad", "many words hold no vowels, or letters and digits mixed"},
		{"caps_subject", "the subject is written in capitals"},
		{"caps_text", "a quarter of the words are written in capitals"},
		{"bangs", "the subject holds two exclamation marks, or the text many"},
		{"raw_subject", "the subject holds letters beyond ASCII that are not encoded"},
		{"subject_tail", "the subject ends in a word that is no word, behind a gap"},
		{"subject_nonsense", "the subject ends in letters that are no word, behind a stroke or in brackets"},
		{"random_tail", "the text ends in letters and digits that mean nothing"},
		{"reply", "the message says which one it answers, by an identifier such as programs write"},
		{"odd_answer", "the message says that it answers one whose Message-ID is longer than programs write them"},
		{"fake_reply", "the subject begins with Re: and the message does not say which one it answers"},
		{"list", "the message says which mailing list it is from, or replies to it go to the group it went to"},
		{"bulk", "the message says how to unsubscribe, or that it is bulk"},
		{"free_author", "the author's address is one that anybody gets for nothing"},
		{"free_elsewhere", "the author's address is at a free provider, and the Message-ID is not the provider's"},
		{"free_reply", "replies go to an address that anybody gets for nothing"},
		{"reply_elsewhere", "replies go to another organisation than the author's"},
		{"author_digits", "the author's address holds four digits or more before the @"},
		{"author_is_recipient", "the author's address is the recipient's"},
		{"author_bare", "the author has no display name"},
		{"recipient_hidden", "To names nobody, or not the recipient"},
		{"recipient_in_subject", "the subject holds the recipient's address or what stands before its @"},
		{"recipient_in_name", "the author's display name holds the recipient's domain"},
		{"recipient_in_text", "the text holds the recipient's address"},
		{"recipient_in_link", "a link holds the recipient's address"},
		{"outlook_clock", "Outlook's Message-ID or boundary tells another time than the date"},
		{"base64_ascii", "a text is sent in base64 though it is plain ASCII"},
		{"encoded_ascii", "the subject or the author is encoded in base64 though it is plain ASCII"},
		{"mixed_script", "two words or more mix Latin letters with Cyrillic ones or those of mathematics"},
		{"split_words", "what nobody sees stands between the letters of words"},
		{"masked_word", "a ware or a firm is written so that only a reader knows it: V1agra, R o l e x, PayPaI"},
		{"china_phone", "the text tells a Chinese mobile number"},
		{"masked_phone", "the digits of a Chinese mobile number stand apart or are written out"},
		{"other_address", "the text names an address of another organisation than the author's and the recipient's"},
		{"word_row", "many long words stand in a row with no small word among them"},
		{"many_recipients", "To names more than five"},
	}
}

// sign notes one, with what proves it.
func (g *gathered) sign(name, where, what string) {
	g.add("sign", name, origin{where: where, what: what})
}

// signPart notes one that stands in a part.
func (g *gathered) signPart(name string, p *mail.Part, what string) {
	g.add("sign", name, origin{where: "part", part: p, what: what})
}

// signs notes what the form of the message is like.
func (g *gathered) signs() {
	visible := sample(g.body)
	words := wordingOf(visible, rowOfWords)
	g.form()
	g.letters(visible, &words)
	g.headline()
	g.author()
	g.recipient()
	g.clock()
	g.disguise(visible, &words)
	g.nonsense()
}

// form looks at the parts and links.
func (g *gathered) form() {
	switch {
	case len(g.html) == 0:
		g.sign("plain_only", "message", "no HTML part")
	case !g.plain:
		g.sign("html_only", "message", "an HTML part and no plain text")
	}
	images, remote, anchors := 0, 0, 0
	hosts, first := 0, "" // one or several, and the first
	for _, l := range g.m.Links() {
		switch {
		case l.Where == "img src":
			images++
			if strings.HasPrefix(l.URL, "http") {
				remote++
			}
		case strings.HasPrefix(l.URL, "http") && (l.Where == "a href" || l.Where == "text" || l.Where == "bare" || l.Where == "area href"):
			anchors++
			if h := host(l.URL); hosts == 0 {
				hosts, first = 1, h
			} else if !strings.EqualFold(h, first) {
				hosts = 2
			}
		}
	}
	words := fmt.Sprintf("%d words, %d pictures, %d links", g.words, images, anchors)
	for _, c := range [...]struct {
		holds bool
		name  string
	}{
		{g.words == 0, "empty"}, {g.words < 15, "few_words"}, {g.words < 60, "short"}, {g.words > 300, "long"}, {g.words > 1000, "very_long"},
		{hosts == 0, "no_link"}, {hosts == 1, "one_link"}, {anchors > 30, "many_links"}, {remote > 0, "remote_image"},
		{len(g.html) > 0 && images > 0 && g.words < 15, "image_only"}, {len(g.html) > 0 && images > 0 && g.words < 60, "image_heavy"},
		{images > 0 && images < 4 && g.words < 5 && anchors > 0, "one_image_link"},
	} {
		if c.holds {
			g.sign(c.name, "text", words)
		}
	}
	for p := range g.m.Parts() {
		if p.Disposition() == "attachment" {
			g.signPart("attachment", p, p.Name())
			break
		}
	}
	for p := range g.m.Parts() {
		if v := p.View(); v != nil && p.Encoding() == "base64" && p.Disposition() != "attachment" && len(v.Source) > 20 && ascii(v.Source) {
			g.signPart("base64_ascii", p, fmt.Sprintf("%d octets of ASCII in base64", len(v.Source)))
			break
		}
	}
	hidden := 0
	for _, p := range g.html {
		hidden += countWords(proseOf(p.View().Hidden))
	}
	if hidden >= 20 && hidden*2 > g.words {
		g.sign("hidden_words", "HTML", fmt.Sprintf("%d words are hidden, %d are shown", hidden, g.words))
	}
}

// proseOf is a hidden text without what looks like a program or a style.
func proseOf(s string) string {
	if strings.ContainsAny(s, "{}") {
		return ""
	}
	return s
}

// host is the host of a URL as written.
func host(u string) string {
	_, rest, _ := strings.Cut(u, "://")
	if n := strings.IndexAny(rest, "/?#"); n >= 0 {
		rest = rest[:n]
	}
	return rest
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// letters looks at how words are written.
func (g *gathered) letters(text string, w *wording) {
	if w.words >= 20 && w.caps*4 > w.words {
		g.sign("caps_text", "text", fmt.Sprintf("%d of %d words", w.caps, w.words))
	}
	if w.odd >= 6 && w.odd*12 > w.words {
		g.sign("word_salad", "text", fmt.Sprintf("%d of %d words, such as %s", w.odd, w.words, w.example))
	}
	if tail := lastWord(g.body); randomWord(tail) {
		g.sign("random_tail", "text", tail)
	}
	if bangs, n := strings.Count(text, "!"), strings.Count(g.subject, "!"); bangs >= 8 || n >= 2 {
		g.sign("bangs", "text", fmt.Sprintf("%d exclamation marks", bangs+n))
	}
}

// lastWord is the last word of a text, if it stands on a line with few others.
func lastWord(s string) string {
	s = strings.TrimSpace(s)
	if n := strings.LastIndexByte(s, '\n'); n >= 0 {
		s = strings.TrimSpace(s[n:])
	}
	if at := strings.LastIndexAny(s, " \t"); at >= 0 {
		if len(s)-at < len(s)/2 {
			return ""
		}
		s = s[at+1:]
	}
	return s
}

// randomWord reports whether a word was made by rolling dice.
func randomWord(w string) bool {
	if len(w) < 8 || len(w) > 100 || strings.ContainsAny(w, "/:@.=_*#|<>()+") || strings.HasPrefix(w, "--") || !ascii(w) {
		return false
	}
	changes, digits, run, most := 0, 0, 0, 0
	last := byte(0)
	for i := range len(w) {
		kind := letterKind(w[i])
		if kind == 'd' {
			digits++
		}
		if last != 0 && kind != last {
			changes++
		}
		last = kind
		if kind == 'a' && strings.IndexByte("aeiouyAEIOUY", w[i]) < 0 {
			run++
			most = max(most, run)
		} else {
			run = 0
		}
	}
	lower := w == strings.ToLower(w)
	return lower && digits == 0 && most >= 5 && len(w) >= 9 || digits >= 3 && digits < len(w)-3 && changes >= 5 && !hexadecimal(w)
}

// letterKind is d for a digit, a for a lower-case letter, A for a capital, - for the rest.
func letterKind(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return 'd'
	case c >= 'a' && c <= 'z':
		return 'a'
	case c >= 'A' && c <= 'Z':
		return 'A'
	}
	return '-'
}

// hexadecimal reports whether a word could be a sum of a file or a commit.
func hexadecimal(w string) bool { return strings.Trim(strings.ToLower(w), "0123456789abcdef-") == "" }

// gibberish reports whether a word of lower-case letters is none that anybody could say.
func gibberish(w string) bool {
	const vowel = 1 | 1<<('e'-'a') | 1<<('i'-'a') | 1<<('o'-'a') | 1<<('u'-'a') | 1<<('y'-'a')
	vowels, run, most := 0, 0, 0
	for i := range len(w) {
		c := w[i] - 'a'
		if c >= 26 {
			return false
		}
		is := vowel >> c & 1
		vowels += is
		run = (run + 1) * (1 - is)
		most = max(most, run)
	}
	return len(w) >= 5 && (vowels == 0 || most >= 5)
}

// headline looks at the subject.
func (g *gathered) headline() {
	s := g.subject
	raw := g.m.Get("Subject")
	var upper, lower int
	for _, r := range s {
		if unicode.IsUpper(r) {
			upper++
		} else if unicode.IsLower(r) {
			lower++
		}
	}
	if upper >= 10 && upper > 6*lower {
		g.sign("caps_subject", "header Subject", s)
	}
	if !ascii(raw) {
		g.sign("raw_subject", "header Subject", s)
	}
	line := lastLine(g.m.Fields("Subject"))
	if at := strings.LastIndex(line, "    "); at > 0 {
		if tail := strings.TrimSpace(line[at:]); len(tail) >= 3 && len(tail) < 30 && !strings.Contains(tail, " ") {
			g.sign("subject_tail", "header Subject", tail)
		}
	}
	if g.answers {
		g.sign("reply", "header In-Reply-To", g.m.Get("In-Reply-To")+" ")
	} else if len(s) > 3 && strings.EqualFold(s[:3], "re:") {
		g.sign("fake_reply", "header Subject", s)
	}
	for _, name := range [...]string{"List-Id", "List-Post", "Mailing-List", "X-Mailing-List"} {
		if v := g.m.Get(name); v != "" {
			g.sign("list", "header "+name, v)
			break
		}
	}
	if group, ok := g.m.Group(); ok {
		g.sign("list", "header Reply-To", group.Address)
	}
	if v := g.m.Get("List-Unsubscribe") + g.m.Get("Precedence"); v != "" {
		g.sign("bulk", "header List-Unsubscribe", v)
	}
}

// lastLine is the last line of the first of fields as it was written, without the blanks that begin a fold.
func lastLine(fields []mail.Field) string {
	if len(fields) == 0 {
		return ""
	}
	s := strings.TrimRight(fields[0].Value, " \t\r\n")
	return strings.TrimLeft(s[strings.LastIndexByte(s, '\n')+1:], " \t")
}

// author looks at who wrote and where replies go.
func (g *gathered) author() {
	authors := g.m.Authors()
	if len(authors) == 0 {
		return
	}
	a := authors[0]
	local, _, _ := strings.Cut(a.Address, "@")
	if free(a.Domain) {
		g.sign("free_author", "header From", a.Address)
		name, _, _ := strings.Cut(a.Domain, ".")
		if id := strings.ToLower(g.m.MessageID()); id != "" && !strings.Contains(id, name) && !g.answers {
			g.sign("free_elsewhere", "header Message-ID", id)
		}
	}
	if a.Name == "" {
		g.sign("author_bare", "header From", a.Address)
	}
	digits := 0
	for _, r := range local {
		if r >= '0' && r <= '9' {
			digits++
		}
	}
	if digits >= 4 {
		g.sign("author_digits", "header From", a.Address)
	}
	for i, r := range g.m.Addresses("Reply-To") {
		if i == maxAuthors {
			break
		}
		if free(r.Domain) {
			g.sign("free_reply", "header Reply-To", r.Address)
		}
		if r.Domain != "" && mail.OrganizationalDomain(r.Domain) != mail.OrganizationalDomain(a.Domain) {
			g.sign("reply_elsewhere", "header Reply-To", r.Address)
		}
	}
}

// recipient looks for the recipient in what was written.
func (g *gathered) recipient() {
	to := g.to
	if len(to) == 0 {
		g.sign("recipient_hidden", "header To", "nobody is named")
		return
	}
	if len(to) > 1 {
		return
	}
	address := strings.ToLower(to[0].Address)
	local, domain, ok := strings.Cut(address, "@")
	if !ok || len(local) < 3 {
		return
	}
	for _, a := range g.m.Authors() {
		if strings.EqualFold(a.Address, address) {
			g.sign("author_is_recipient", "header From", a.Address)
		}
		if org, _, _ := strings.Cut(domain, "."); len(org) > 3 && strings.Contains(strings.ToLower(a.Name), org) && !strings.EqualFold(a.Domain, domain) {
			g.sign("recipient_in_name", "header From", a.Name)
		}
	}
	subject := strings.ToLower(g.subject)
	if strings.Contains(subject, address) || len(local) > 4 && strings.Contains(subject, local) {
		g.sign("recipient_in_subject", "header Subject", g.subject)
	}
	if holdsAddress(g.body, address) {
		g.sign("recipient_in_text", "text", address)
	}
	for _, l := range g.m.Links() {
		if strings.HasPrefix(l.URL, "http") && holdsAddress(l.URL, address) {
			g.sign("recipient_in_link", "link", l.URL)
			break
		}
	}
}

// holdsAddress reports whether text in lower case holds an address, which is in lower case.
func holdsAddress(text, address string) bool {
	at := strings.IndexByte(address, '@')
	n := strings.IndexByte(text, '@')
	if n < 0 {
		return false
	}
	if !ascii(address) || strings.Contains(text, "\u212A") || strings.Contains(text, "\u0130") {
		// Only these two letters beyond ASCII become letters of ASCII, and so shorter.
		return strings.Contains(strings.ToLower(text), address)
	}
	for from := 0; n >= 0; n = strings.IndexByte(text[from:], '@') {
		from += n
		start := from - at
		if end := start + len(address); start >= 0 && end <= len(text) && strings.EqualFold(text[start:end], address) {
			return true
		}
		from++
	}
	return false
}

// free reports whether anybody gets an address at the domain for nothing.
func free(domain string) bool {
	switch domain {
	case "gmail.com", "googlemail.com", "yahoo.com", "hotmail.com", "outlook.com", "live.com", "msn.com", "aol.com", "icloud.com", "me.com",
		"mail.com", "gmx.com", "gmx.de", "gmx.net", "web.de", "proton.me", "protonmail.com", "yandex.ru", "yandex.com", "mail.ru", "bk.ru", "inbox.ru", "list.ru", "rambler.ru",
		"qq.com", "163.com", "126.com", "sina.com", "sohu.com", "foxmail.com", "yeah.net", "naver.com", "hanmail.net", "daum.net",
		"zoho.com", "tutanota.com", "libero.it", "virgilio.it", "tiscali.it", "orange.fr", "laposte.net", "free.fr", "wanadoo.fr", "t-online.de",
		"uol.com.br", "bol.com.br", "terra.com.br", "excite.com", "lycos.com", "netscape.net", "mailinator.com", "rediffmail.com", "inbox.com", "email.com", "usa.net", "juno.com", "comcast.net", "att.net", "verizon.net":
		return true
	}
	for _, name := range [...]string{"yahoo.", "hotmail.", "live.", "outlook."} {
		if rest, ok := strings.CutPrefix(domain, name); ok && len(rest) <= 6 {
			return true
		}
	}
	return false
}
