package bayes

import (
	"math/bits"
	"strings"

	"gatepost/filters/mail"
)

// A place says where a token stood; the same word is another token elsewhere.
type place uint64

// The places. Stored lessons hold hashes that depend on them: numbers are added, never changed.
const (
	inText    place = 1 + iota // words a reader sees
	inHidden                   // words of HTML that a reader does not see
	inSubject                  // words of the subject
	inName                     // words of the author's display name
	inFrom                     // the author's domain
	inReply                    // where replies go
	inField                    // which fields there are, and their shapes
	inProgram                  // the program that wrote the message
	inShape                    // sizes, counts and proportions
	inPart                     // types, charsets and encodings of the parts
	inMarkup                   // HTML elements and what they are made to look like
	inHost                     // hosts of links
	inPath                     // words of the paths of links
	inFile                     // names and types of attachments
	inSource                   // runs of what was written, markup and all
)

// The bounds of one message.
const (
	maxWords     = 3000 // different tokens of all places but the source
	maxRuns      = 3000 // different tokens of the source
	maxTokens    = maxWords + maxRuns
	maxText      = 128 << 10 // octets of visible text
	maxHiddenTxt = 16 << 10  // octets of hidden text
	maxSource    = 256 << 10 // octets of markup
	maxLinks     = 100
)

// A Seed keys the hashes of one site.
type Seed uint64

// Tokens are the different tokens of m as hashes, in the order in which they appear; at most 6,000.
func (s Seed) Tokens(m *mail.Message) []uint32 {
	var r reader
	return r.tokens(s, m)
}

// A word is how one token is written, and where it stood.
type word struct {
	place place
	text  string
}

// A group is tokens that are weighed together and apart from all others: a subject is short, and says as much as a long
// text; and so do the form of a message, those whom it names, and the way it is written.
const (
	ofText uint32 = iota
	ofSubject
	ofForm
	ofNames
	ofSource
	groups    = 8 // what the bits have room for
	groupBits = groups - 1
)

// group is that of the tokens of a place.
func (k place) group() uint32 {
	switch k {
	case inSubject:
		return ofSubject
	case inField, inProgram, inShape, inPart, inMarkup, inFile:
		return ofForm
	case inName, inFrom, inReply, inHost, inPath:
		return ofNames
	case inSource:
		return ofSource
	}
	return ofText
}

// A reader walks through messages, one after the other, and collects their tokens.
type reader struct {
	seed   uint64
	list   []uint32
	most   int // tokens that there may be by now
	seen   set
	source []byte           // what runs are read from
	own    map[uint64]bool  // words of the recipients' addresses: they tell whose mail was learnt, not what it is
	owned  uint64           // a bit for the low six of each of own: nearly all words are told apart from them by that
	wanted map[uint32]*word // nil: collect hashes; else: find how these are written
}

// tokens collects the tokens of m; they are valid until the next call.
func (r *reader) tokens(s Seed, m *mail.Message) []uint32 {
	r.seed, r.list, r.wanted = uint64(s), r.list[:0], nil
	r.seen.clear()
	r.message(m)
	return r.list
}

// words finds how the tokens of m with the given hashes are written.
func (r *reader) words(s Seed, m *mail.Message, wanted map[uint32]*word) {
	r.seed, r.list, r.wanted = uint64(s), r.list[:0], wanted
	r.message(m)
}

// token adds one token; a and b are how it is written.
func (r *reader) token(k place, h uint64, a, b string) {
	v := tokenOf(h, k.group())
	if r.wanted != nil {
		r.want(v, k, a, b)
		return
	}
	r.add(v)
}

// tokenOf is the token of a group with a hash.
func tokenOf(h uint64, group uint32) uint32 { return uint32(finish(h)>>32)&^groupBits | group }

// add adds a token that is not there yet.
func (r *reader) add(v uint32) {
	if len(r.list) < r.most && r.seen.add(v) {
		r.list = append(r.list, v)
	}
}

// want notes how a token is written, if that is wanted.
func (r *reader) want(v uint32, k place, a, b string) {
	if w := r.wanted[v]; w != nil && w.text == "" {
		w.place, w.text = k, strings.TrimSpace(a+" "+b)
	}
}

// word adds a token of one word.
func (r *reader) word(k place, s string) { r.token(k, fold(start(r.seed, k), s), s, "") }

// pair adds a token of a name and a value.
func (r *reader) pair(k place, name, value string) {
	r.token(k, fold(fold(start(r.seed, k), name)*mixer, value), name, value)
}

// count adds a token of a name and the magnitude of a number.
func (r *reader) count(k place, name string, n int) {
	r.pair(k, name, magnitudes[min(bits.Len(uint(max(n, 0))), len(magnitudes)-1)])
}

// magnitudes name the powers of two, below which a count lies.
var magnitudes = [...]string{"none", "one", "few", "<eight", "<sixteen", "<thirtytwo", "<k/sixteen", "<k/eight", "<k/four", "<k/two", "<k", "<twok", "<fourk", "<eightk", "many"}

// text adds the words of s, and each two words that follow each other. Single characters are tokens where a character
// is a word; where it is not, only with their neighbours.
func (r *reader) text(k place, s string) {
	t := scanner{s: s}
	begin := start(r.seed, k)
	var before uint64
	last := ""
	for len(r.list) < r.most {
		w, ok := t.next()
		if !ok {
			return
		}
		if len(w) > longest {
			r.count(inShape, "long word", len(w))
			last = ""
			continue
		}
		h := fold(r.seed, w)
		if r.owned>>(h%64)&1 != 0 && r.own[h] {
			r.pair(inShape, "recipient", "named")
			last = ""
			continue
		}
		h = h*mixer ^ begin
		if len(w) > 1 {
			r.token(k, h, w, "")
		}
		if last != "" {
			r.token(k, join(before, h), last, w)
		}
		before, last = h, w
	}
}

// message adds everything.
func (r *reader) message(m *mail.Message) {
	r.most = maxWords
	to, cc := m.Addresses("To"), m.Addresses("Cc")
	r.recipients(to, cc)
	r.text(inSubject, limit(untagged(m.Subject()), 1<<10))
	r.people(m)
	r.count(inField, "to", len(to))
	r.count(inField, "cc", len(cc))
	r.fields(m)
	r.messageID(m)
	text := m.Text()
	r.shape(m, text)
	r.parts(m)
	r.links(m)
	r.text(inText, limit(text, maxText))
	r.most = len(r.list) + maxRuns
	r.runs(m)
}

// untagged is a subject without the mark that another filter put before it.
func untagged(subject string) string {
	for {
		s := strings.TrimSpace(subject)
		end := strings.IndexAny(s, "]}") + 1
		if end == 0 && strings.HasPrefix(s, "***") {
			end = strings.Index(s[3:], "***") + 6
		}
		if end < 4 || end > 20 || !strings.ContainsRune("[{*", rune(s[0])) || !strings.Contains(strings.ToLower(s[:end]), "spam") {
			return s
		}
		subject = s[end:]
	}
}

// limit is at most n octets of s.
func limit(s string, n int) string { return s[:min(len(s), n)] }

// people adds who wrote the message and where replies go. Recipients are no tokens: they tell whose mail was learnt.
func (r *reader) people(m *mail.Message) {
	authors := m.Authors()
	if len(authors) == 0 {
		r.pair(inField, "from", "nobody")
		return
	}
	a := authors[0]
	r.text(inName, limit(a.Name, 512))
	r.domain(inFrom, a.Domain)
	local, _, _ := strings.Cut(a.Address, "@")
	r.word(inFrom, limit(local, 64))
	if a.Name == "" {
		r.pair(inField, "from", "no name")
	}
	replies := m.Addresses("Reply-To")
	for _, b := range replies[:min(len(replies), 3)] {
		if mail.OrganizationalDomain(b.Domain) == mail.OrganizationalDomain(a.Domain) {
			r.pair(inReply, "reply", "same")
			continue
		}
		r.pair(inReply, "reply", "elsewhere")
		r.domain(inReply, b.Domain)
	}
}

// domain adds a domain, its organisation, which it returns, and the name under which it is registered.
func (r *reader) domain(k place, d string) (org string) {
	if d == "" {
		return ""
	}
	org = mail.OrganizationalDomain(d)
	r.word(k, limit(d, 253))
	if org != d {
		r.word(k, limit(org, 253))
	}
	if dot := strings.IndexByte(org, '.'); dot >= 0 {
		r.word(k, limit(org[dot:], 64))
	}
	return org
}

// fields adds the fields that authors' programs write; what servers on the way or at the end add is not looked at.
func (r *reader) fields(m *mail.Message) {
	for _, name := range [...]string{"X-Mailer", "User-Agent"} {
		if v := m.Get(name); v != "" {
			r.text(inProgram, limit(v, 100))
		}
	}
	for _, name := range [...]string{"In-Reply-To", "References", "List-Unsubscribe", "List-Unsubscribe-Post", "Importance", "X-Priority", "X-MSMail-Priority", "MIME-Version", "Organization", "Sender", "Disposition-Notification-To", "Cc", "Reply-To", "X-MimeOLE"} {
		if v := m.Get(name); v != "" {
			r.pair(inField, name, "there")
		}
	}
}

// recipients notes the words of the recipients' addresses, and how they are addressed.
func (r *reader) recipients(to, cc []mail.Mailbox) {
	if r.own == nil {
		r.own = map[uint64]bool{}
	}
	clear(r.own)
	r.owned = 0
	for _, list := range [2][]mail.Mailbox{to, cc} {
		for _, b := range list[:min(len(list), 20)] {
			for t := (scanner{s: limit(b.Address, 320)}); ; {
				w, ok := t.next()
				if !ok {
					break
				}
				h := fold(r.seed, w)
				r.own[h] = true
				r.owned |= 1 << (h % 64)
			}
		}
	}
	for _, b := range to[:min(len(to), 3)] {
		if b.Name == "" {
			r.pair(inField, "to", "no name")
		} else {
			r.pair(inField, "to", "name")
		}
	}
}

// messageID adds how the author's program makes its ids, and whether it makes them in the author's name.
func (r *reader) messageID(m *mail.Message) {
	id := m.MessageID()
	local, domain, _ := strings.Cut(id, "@")
	domain = strings.ToLower(domain)
	switch {
	case id == "":
		r.pair(inField, "message-id", "none")
		return
	case strings.HasSuffix(domain, "outlook.com"):
		return // Exchange gives these to mail that comes without
	}
	r.pair(inField, "message-id", outline(local))
	authors := m.Authors()
	if len(authors) > 0 && mail.OrganizationalDomain(domain) == mail.OrganizationalDomain(authors[0].Domain) {
		r.pair(inField, "message-id", "of the author's domain")
	} else {
		r.pair(inField, "message-id", "of another domain")
	}
}

// outline is the form of an identifier: runs of letters, of capitals and of digits become one sign each.
func outline(s string) string {
	var b strings.Builder
	last := byte(0)
	for i := 0; i < len(s) && b.Len() < 16; i++ {
		c := s[i]
		switch {
		case c >= '0' && c <= '9':
			c = '0'
		case c >= 'A' && c <= 'Z':
			c = 'A'
		case c >= 'a' && c <= 'z':
			c = 'a'
		}
		if c != last {
			b.WriteByte(c)
		}
		last = c
	}
	return b.String()
}
