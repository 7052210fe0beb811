package hashlist

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"gatepost/rules/conf"
)

// A List is the entries of one file. It is immutable. The zero List holds nothing.
type List struct {
	exact map[[sha256.Size]byte]entry
	fuzzy map[uint32][]like // by block size
}

// An entry is what is said of a file, and until when.
type entry struct {
	name  string
	until int32 // the last day that it counts, as days since 1970; 0: for ever
}

// A like is the entry of a fuzzy hash.
type like struct {
	entry
	hash Fuzzy
}

// A Match is an entry that a content was found under.
type Match struct {
	Name  string
	Alike int // 100: the very content; less: how similar it is
}

// MinAlike is the similarity from which a fuzzy hash matches.
const MinAlike = 80

// minFuzzy is the smallest content that is compared fuzzily; shorter ones are all alike.
const minFuzzy = 4096

// UnmarshalConf reads the name of a list's file and the file.
func (l *List) UnmarshalConf(n conf.Node) []conf.Problem {
	var path conf.Path
	if problems := path.UnmarshalConf(n); len(problems) > 0 {
		return problems
	}
	f, err := conf.Open(string(path))
	if err != nil {
		return []conf.Problem{n.Problemf("cannot read the list: %v", err)}
	}
	defer f.Close()
	read, err := Parse(f)
	if err != nil {
		return []conf.Problem{n.Problemf("cannot read the list %s: %v", path, err)}
	}
	*l = *read
	return nil
}

// ConfType says what a document may write.
func (List) ConfType() string { return "path" }

// ConfSchema says what a document may write.
func (List) ConfSchema() map[string]any { return map[string]any{"type": "string"} }

// Parse reads a list: in each line a SHA-256 in hexadecimal or a fuzzy hash as ssdeep writes it, then perhaps a name, then
// perhaps until=YYYY-MM-DD, the last day on which the entry counts. # begins a comment.
func Parse(r io.Reader) (*List, error) {
	l := &List{exact: map[[sha256.Size]byte]entry{}, fuzzy: map[uint32][]like{}}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || words[0][0] == '#' {
			continue
		}
		if err := l.add(words); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	return l, lines.Err()
}

// add reads one line.
func (l *List) add(words []string) error {
	e := entry{name: "listed"}
	var name []string
	for _, w := range words[1:] {
		if strings.HasPrefix(w, "#") {
			break
		}
		day, ok := strings.CutPrefix(w, "until=")
		if !ok {
			name = append(name, w)
			continue
		}
		t, err := time.Parse(time.DateOnly, day)
		if err != nil {
			return fmt.Errorf("until= wants YYYY-MM-DD, not %q", day)
		}
		e.until = int32(t.Unix() / 86400)
	}
	if name != nil {
		e.name = strings.Join(name, " ")
	}
	if len(words[0]) == 2*sha256.Size {
		sum, err := hex.DecodeString(words[0])
		if err != nil {
			return fmt.Errorf("%q is no SHA-256", words[0])
		}
		l.exact[[sha256.Size]byte(sum)] = e
		return nil
	}
	hash, ok := ParseFuzzy(words[0])
	if !ok {
		return fmt.Errorf("%q is neither a SHA-256 nor a fuzzy hash", words[0])
	}
	l.fuzzy[hash.Block] = append(l.fuzzy[hash.Block], like{e, hash})
	return nil
}

// Len is how many entries there are, those that have run out included.
func (l *List) Len() int {
	n := len(l.exact)
	for _, f := range l.fuzzy {
		n += len(f)
	}
	return n
}

// Find looks a content up by its SHA-256 and, if there are fuzzy entries, by its likeness.
func (l *List) Find(sum [sha256.Size]byte, content []byte, now time.Time) (Match, bool) {
	today := int32(now.Unix() / 86400)
	if e, ok := l.exact[sum]; ok && e.counts(today) {
		return Match{e.name, 100}, true
	}
	if len(l.fuzzy) == 0 || len(content) < minFuzzy {
		return Match{}, false
	}
	hash := FuzzyOf(content)
	best := Match{}
	for _, block := range []uint32{hash.Block / 2, hash.Block, hash.Block * 2} {
		for i := range l.fuzzy[block] {
			f := &l.fuzzy[block][i]
			if !f.counts(today) {
				continue
			}
			if n := hash.Alike(f.hash); n >= MinAlike && n > best.Alike {
				best = Match{f.name, n}
			}
		}
	}
	return best, best.Alike > 0
}

// counts reports whether an entry counts on a day.
func (e entry) counts(today int32) bool { return e.until == 0 || today <= e.until }

// String is the match in words.
func (m Match) String() string {
	if m.Alike == 100 {
		return m.Name
	}
	return m.Name + ", alike by " + strconv.Itoa(m.Alike) + " of 100"
}
