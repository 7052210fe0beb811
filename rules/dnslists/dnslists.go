package dnslists

import (
	_ "embed"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"gatepost/rules/conf"
)

// A Meaning is what a list says of whom it was asked about.
type Meaning string

// The meanings.
const (
	Listed  Meaning = "listed"  // a source or a mark of spam
	Policy  Meaning = "policy"  // an address that should not send mail itself
	Phish   Meaning = "phish"   // a domain of phishing
	Malware Meaning = "malware" // a domain of malware
	Abused  Meaning = "abused"  // a good domain that was broken into
	Allowed Meaning = "allowed" // a good name
	Nothing Meaning = "nothing" // known, and no word about it
)

// Meanings are the words that an answer may have.
func Meanings() []string {
	return []string{string(Listed), string(Policy), string(Phish), string(Malware), string(Abused), string(Allowed), string(Nothing)}
}

// A Subject is what a list may be asked about.
type Subject string

// The subjects.
const (
	Client  Subject = "client"  // the client's address
	Helo    Subject = "helo"    // domain of the HELO name
	Reverse Subject = "reverse" // domain of the client's confirmed reverse name
	Sender  Subject = "sender"  // domain of the reverse-path
	Author  Subject = "author"  // domains of the authors
	Link    Subject = "link"    // domains that links lead to
	Mailbox Subject = "mailbox" // hash of the addresses of sender, authors and Reply-To
)

// A List is one list. Its documents are the shipped data file and the site's configuration.
type List struct {
	Pos     conf.Pos  `yaml:",pos"`
	Name    string    `yaml:"-"`
	Zone    string    `yaml:"zone" required:"true" doc:"The domain that is asked below: bl.example.net."`
	Keyed   string    `yaml:"keyed" doc:"The domain for customers with a key, which is put before it."`
	About   string    `yaml:"about" doc:"What it lists, in a sentence."`
	Terms   string    `yaml:"terms" doc:"Where its terms of use are."`
	Help    string    `yaml:"help" doc:"Where somebody who is listed can look why."`
	Asks    []Subject `yaml:"asks" required:"true" enum:"client|helo|reverse|sender|author|link|mailbox" doc:"What it is asked about."`
	Hash    string    `yaml:"hash" enum:"md5|sha1|sha256" doc:"For mailbox: the hash of the address in lower case; md5 and sha1 in hexadecimal, sha256 in Base32."`
	Answers Answers   `yaml:"answers" doc:"What answers mean: 127.0.0.2: listed WHY. The last two octets may be ranges or *. Without answers and bits, 127.0.0.2 means listed."`
	Bits    Answers   `yaml:"bits" doc:"What the bits of the last octet mean: 64: listed WHY."`
	Blocked []Pattern `yaml:"blocked" doc:"Answers that say that our resolver may not ask. 127.255.255.* always does."`
	Test    Test      `yaml:"test" doc:"What it must and must not list. For addresses 127.0.0.2 and 127.0.0.1 (RFC 5782)."`
}

// A Test is a pair of test points.
type Test struct {
	Listed string `yaml:"listed" doc:"Must be listed; an address, a domain or a mailbox. Empty for lists of mailboxes that have none."`
	Clean  string `yaml:"clean" doc:"Must not be listed."`
}

// CheckConf looks for contradictions and completes what is left out.
func (l *List) CheckConf(n conf.Node) []conf.Problem {
	var problems []conf.Problem
	l.Zone = strings.ToLower(strings.Trim(l.Zone, "."))
	if strings.Count(l.Zone, ".") == 0 || strings.ContainsAny(l.Zone, " /@*") || len(l.Zone) > 128 {
		problems = append(problems, n.Key("zone").Problemf("%q is not the domain of a list", l.Zone))
	}
	hashed := slices.Contains(l.Asks, Mailbox)
	if hashed != (l.Hash != "") || hashed && len(l.Asks) > 1 {
		problems = append(problems, n.Key("asks").Problemf("a list of mailboxes is asked about nothing else, and needs hash"))
	}
	if len(l.Answers) == 0 && len(l.Bits) == 0 {
		l.Answers = Answers{{Pattern: Pattern{{127, 127}, {0, 0}, {0, 0}, {2, 2}}, Means: Listed, Text: "listed"}}
	}
	if l.Test == (Test{}) {
		l.Test = l.usualTest()
	}
	if l.Test.Clean == "" {
		problems = append(problems, n.Key("test").Problemf("a list needs something that it must not list: test: {clean: …}"))
	}
	return problems
}

// usualTest are the test points of RFC 5782 section 5.
func (l *List) usualTest() Test {
	switch {
	case slices.Contains(l.Asks, Client):
		return Test{Listed: "127.0.0.2", Clean: "127.0.0.1"}
	case slices.Contains(l.Asks, Mailbox):
		return Test{Clean: "nobody@example.com"}
	}
	return Test{Listed: "test", Clean: "invalid"}
}

// Means lists every meaning that the list's answers can have.
func (l *List) Means() []Meaning {
	var out []Meaning
	for _, a := range slices.Concat(l.Answers, l.Bits) {
		if a.Means != Nothing && !slices.Contains(out, a.Means) {
			out = append(out, a.Means)
		}
	}
	return out
}

// A Reading is what one answer turned out to be.
type Reading int

// The readings.
const (
	Word    Reading = iota // it means something
	Unknown                // the list's own, without a meaning that we know
	Blocked                // the list refuses our resolver
	Foreign                // no answer of a list at all: somebody else answers for it
)

// loopback is where the answers of lists are (RFC 5782 section 2.1).
var loopback = netip.MustParsePrefix("127.0.0.0/8")

// Read tells what an answer means.
func (l *List) Read(a netip.Addr) (Reading, []Answer) {
	if !a.Is4() || !loopback.Contains(a) {
		return Foreign, nil
	}
	octets := a.As4()
	if octets[1] == 255 && octets[2] == 255 {
		return Blocked, nil
	}
	for _, p := range l.Blocked {
		if p.fits(octets) {
			return Blocked, nil
		}
	}
	var found []Answer
	for _, b := range l.Bits {
		if bit := b.Pattern[3].from; octets[3]&bit != 0 {
			found = append(found, b)
		}
	}
	for _, x := range l.Answers {
		if x.Pattern.fits(octets) {
			found = append(found, x)
			break
		}
	}
	if len(found) == 0 {
		return Unknown, nil
	}
	return Word, found
}

// An Answer is what an A record means.
type Answer struct {
	Pattern Pattern
	Means   Meaning
	Text    string // the operator's reason
}

// Answers are in the order of their document.
type Answers []Answer

// UnmarshalConf reads a mapping of patterns, or bits, to a word of meaning and a reason.
func (a *Answers) UnmarshalConf(n conf.Node) []conf.Problem {
	if n.Kind() != conf.Mapping {
		return []conf.Problem{n.Problemf("expected answers with their meaning, such as 127.0.0.2: listed a source of spam")}
	}
	var problems []conf.Problem
	for _, p := range n.Pairs() {
		pattern, err := parseKey(p.Key.String(), n.Name() == "bits")
		if err != nil {
			problems = append(problems, p.Key.Problemf("%v", err))
			continue
		}
		word, text, _ := strings.Cut(p.Value.String(), " ")
		if !slices.Contains(Meanings(), word) {
			problem := p.Value.Problemf("expected a word of meaning (%s) and the reason", strings.Join(Meanings(), ", "))
			problem.Hint = conf.Suggest(word, Meanings())
			problems = append(problems, problem)
			continue
		}
		*a = append(*a, Answer{Pattern: pattern, Means: Meaning(word), Text: strings.TrimSpace(text)})
	}
	return problems
}

// parseKey reads the pattern of an answer, or a bit.
func parseKey(s string, bits bool) (Pattern, error) {
	if !bits {
		return ParsePattern(s)
	}
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil || n == 0 || n&(n-1) != 0 {
		return Pattern{}, fmt.Errorf("%q is not one bit of an octet: 1, 2, 4, …, 128", s)
	}
	return Pattern{3: {byte(n), byte(n)}}, nil
}

// ConfType says what a document may write.
func (Answers) ConfType() string { return "mapping of answers to their meaning" }

// ConfSchema says what a document may write.
func (Answers) ConfSchema() map[string]any {
	return map[string]any{"type": "object", "additionalProperties": map[string]any{"type": "string"}}
}

// A Pattern fits answers, octet by octet.
type Pattern [4]span

// A span is a range of values of an octet.
type span struct{ from, to byte }

// ParsePattern reads 127.0.0.2, 127.0.0.4-7 or 127.0.*.1.
func ParsePattern(s string) (Pattern, error) {
	var p Pattern
	parts := strings.Split(s, ".")
	if len(parts) != 4 || parts[0] != "127" {
		return p, fmt.Errorf("%q is not an answer such as 127.0.0.2 or 127.0.0.4-7", s)
	}
	for i, part := range parts {
		if part == "*" {
			p[i] = span{0, 255}
			continue
		}
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		from, err1 := strconv.ParseUint(low, 10, 8)
		to, err2 := strconv.ParseUint(high, 10, 8)
		if err1 != nil || err2 != nil || from > to {
			return p, fmt.Errorf("%q is not an octet, nor a range of them", part)
		}
		p[i] = span{byte(from), byte(to)}
	}
	return p, nil
}

// fits reports whether an answer is one that the pattern means.
func (p Pattern) fits(octets [4]byte) bool {
	for i, o := range octets {
		if o < p[i].from || o > p[i].to {
			return false
		}
	}
	return true
}

// UnmarshalText reads a pattern.
func (p *Pattern) UnmarshalText(b []byte) (err error) {
	*p, err = ParsePattern(string(b))
	return err
}

//go:embed lists.yaml
var shipped []byte

// Shipped are the lists that the program comes with, by name.
func Shipped() ([]List, error) {
	var doc struct {
		Lists map[string]List `yaml:"lists"`
	}
	if problems := conf.Decode("lists.yaml", shipped, &doc); len(problems) > 0 {
		return nil, fmt.Errorf("read the shipped lists: %w", problems[0])
	}
	out := make([]List, 0, len(doc.Lists))
	for name, l := range doc.Lists {
		l.Name = name
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b List) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}
