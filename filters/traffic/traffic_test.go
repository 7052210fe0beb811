package traffic

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/rules/conf"
)

// A told memory answers what it is told to, and keeps the last question.
type told struct {
	answer Answer
	err    error
	asked  *Question
}

func (*told) Key() *Key { return &Key{0x1234567890abcdef, 0xfedcba0987654321} }

func (m *told) Ask(_ context.Context, q Question) (Answer, error) {
	m.asked = &q
	return m.answer, m.err
}

func config(t testing.TB) Config {
	t.Helper()
	var c Config
	if problems := conf.Decode("", []byte("{}"), &c); len(problems) > 0 {
		t.Fatal(problems)
	}
	return c
}

// prose is text of n words that are drawn by a seed.
func prose(seed uint64, n int) []string {
	r := rand.New(rand.NewPCG(seed, 1))
	words := make([]string, n)
	for i := range words {
		words[i] = fmt.Sprintf("w%c%c%c", 'a'+r.IntN(26), 'a'+r.IntN(26), 'a'+r.IntN(26))
	}
	return words
}

func letter(t testing.TB, client, header, body string) *mail.Mail {
	t.Helper()
	from, err := mail.ParseAddress("ann@friend.example")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll("From: ann@friend.example\nSubject: x\n"+header+"\n"+body+"\n", "\n", "\r\n")
	return &mail.Mail{Envelope: &mail.Envelope{Remote: netip.MustParseAddr(client), From: from}, Message: mail.Parse(mail.Memory(text))}
}

func authenticatedAs(domain string) filters.Report {
	return filters.Report{Facts: filters.Facts{Auth: &filters.Auth{Domain: domain, By: "spf", SPF: filters.SPF{Result: "pass", Domain: domain}, DMARC: filters.DMARC{Result: "pass"}}}}
}

func codesOf(t *testing.T, facts filters.Facts) []string {
	t.Helper()
	var list []string
	for _, x := range facts.Findings {
		if !slices.ContainsFunc(Codes(), func(c filters.Code) bool { return c.Name == x.Code }) || x.Text == "" || len(x.Proof) == 0 || x.Proof[0].What == "" {
			t.Errorf("%s is not documented or not proven: %+v", x.Code, x)
		}
		list = append(list, x.Code)
	}
	return list
}

// Each code of a sender with a standing that shows it, and one that comes near and must not.
func TestASenderIsCalledWhatItsStandingShows(t *testing.T) {
	day := 24 * time.Hour
	for _, c := range []struct {
		code        string
		shows, near Standing
	}{
		{"bad", Standing{Wanted: 1, Unwanted: 9}, Standing{Wanted: 2, Unwanted: 8}},
		{"bad", Standing{Unwanted: 9.99}, Standing{Unwanted: 9}},
		{"good", Standing{Wanted: 99, Unwanted: 1, Known: 3 * day}, Standing{Wanted: 98, Unwanted: 2, Known: 3 * day}},
		{"good", Standing{Wanted: 10, Known: 3 * day}, Standing{Wanted: 1000, Known: 2 * day}},
		{"surge", Standing{Hour: 49, Usual: 5, Hours: 5, Known: day}, Standing{Hour: 48, Usual: 1, Hours: 5, Known: day}},
		{"surge", Standing{Hour: 999, Usual: 100, Hours: 24, Known: day}, Standing{Hour: 998, Usual: 100, Hours: 24, Known: day}},
		{"surge", Standing{Hour: 100, Usual: 1, Hours: 5, Known: day}, Standing{Hour: 100, Usual: 1, Hours: 4, Known: day}},
		{"surge", Standing{Hour: 100, Usual: 1, Hours: 5, Known: day}, Standing{Hour: 100, Usual: 1, Hours: 5, Known: day - 1}},
	} {
		for _, of := range []string{"domain", "network"} {
			for i, s := range []Standing{c.shows, c.near} {
				memory, before := &told{answer: Answer{Senders: []Standing{s}}}, filters.Report{}
				client := "198.51.100.7"
				if of == "domain" {
					memory.answer.Senders, before = []Standing{s, {}}, authenticatedAs("mail.friend.co.uk")
				}
				facts, err := New(config(t), memory).Follow(t.Context(), letter(t, client, "", "short"), before)
				if err != nil {
					t.Fatal(err)
				}
				want := "traffic." + of + "-" + c.code
				if c.code == "surge" {
					want = "traffic.surge"
				}
				if got := codesOf(t, facts); slices.Contains(got, want) != (i == 0) {
					t.Errorf("%s of %+v: %v", want, s, got)
				}
			}
		}
	}
}

func TestASenderIsItsProvenDomainAndItsNetwork(t *testing.T) {
	at := netip.MustParseAddr
	free := authenticatedAs("gmail.com")
	free.Sender = &filters.Sender{FreeMail: true}
	forwarded := authenticatedAs("friend.example")
	forwarded.Auth.Origin = "203.0.113.200"
	unknown := authenticatedAs("friend.example")
	unknown.Auth.Origin = "unknown"
	sealed := authenticatedAs("friend.example")
	sealed.Auth.DMARC.Result = "fail"
	for _, c := range []struct {
		client  string
		trusted bool
		rep     filters.Report
		want    []string
	}{
		{"198.51.100.77", false, authenticatedAs("mail.friend.co.uk"), []string{"traffic domain friend.co.uk", "traffic network 198.51.100.0/24"}},
		{"::ffff:198.51.100.77", false, filters.Report{}, []string{"traffic network 198.51.100.0/24"}},
		{"2001:db8:1:2::3", false, free, []string{"traffic network 2001:db8:1::/48"}},
		{"198.51.100.77", true, authenticatedAs("friend.example"), []string{"traffic domain friend.example"}},
		{"198.51.100.77", false, forwarded, []string{"traffic domain friend.example", "traffic network 203.0.113.0/24"}},
		{"198.51.100.77", false, unknown, []string{"traffic domain friend.example"}},
		{"198.51.100.77", false, sealed, []string{"traffic network 198.51.100.0/24"}},
	} {
		if got := IdentityOf(at(c.client), c.trusted, &c.rep).Keys(); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// agree counts the bands that two texts have in common.
func agree(a, b string) (n int) {
	key := (&told{}).Key()
	x, y := key.sketchOf(a).bands(), key.sketchOf(b).bands()
	for i := range min(len(x), len(y)) {
		if x[i] == y[i] {
			n++
		}
	}
	return n
}

func TestBodiesAreNearWhateverTheirNumbersCaseAndName(t *testing.T) {
	base := strings.Join(prose(1, 200), " ")
	for name, other := range map[string]string{
		"the same":        base,
		"case and breaks": strings.ReplaceAll(strings.ToUpper(base), " ", "\r\n"),
		"hidden signs":    strings.ReplaceAll(base, "w", "\u200bw\u00ad"),
		"a quoted letter": base + "\n> " + strings.Join(prose(9, 300), " "),
	} {
		if agree(base, other) != bands {
			t.Errorf("%s: %d bands agree", name, agree(base, other))
		}
	}
	if agree(base+" order 12345 of 3 May", base+" order 9 of 14 May") != bands {
		t.Error("other numbers make another text")
	}
	cjk := strings.Repeat("\u4eca\u5929\u5929\u6c14\u5f88\u597d\u6211\u4eec\u53bb\u516c\u56ed\u5427", 1)
	if (&told{}).Key().sketchOf(strings.Join([]string{cjk, cjk, cjk, cjk}, "\u3002")).bands() == nil {
		t.Error("a text without spaces has no words")
	}
	if (&told{}).Key().sketchOf(strings.Join(prose(1, minShingles+1), " ")).bands() != nil {
		t.Error("a short text is compared")
	}
	long := (&told{}).Key().sketchOf(strings.Join(prose(1, 9000), " "))
	if long.number != maxShingles {
		t.Errorf("%d shingles read", long.number)
	}
}

// The share of pairs that are found follows the share of what they have in common.
func TestNearBodiesAreFoundAndOthersNot(t *testing.T) {
	const pairs = 300
	found := func(changed int) (n float64) {
		for i := range uint64(pairs) {
			words := prose(i, 200)
			other := slices.Clone(words)
			for k := range changed {
				other[(k*200/max(changed, 1)+int(i))%200] = fmt.Sprint("changed", 'a'+rune(k))
			}
			if agree(strings.Join(words, " "), strings.Join(other, " ")) >= agreeing {
				n++
			}
		}
		return n / pairs
	}
	for _, c := range []struct {
		changed   int
		least, at float64
	}{{2, 0.95, 1}, {20, 0, 0.6}, {100, 0, 0.01}} {
		if got := found(c.changed); got < c.least || got > c.at {
			t.Errorf("%d words of 200 changed: %.2f found", c.changed, got)
		}
	}
}

func TestKeysOfOtherSitesAreOthers(t *testing.T) {
	text := strings.Join(prose(1, 200), " ")
	a, b := (&Key{1, 2}).sketchOf(text).bands(), (&Key{1, 3}).sketchOf(text).bands()
	for i := range a {
		if a[i] == b[i] {
			t.Error("two sites count the same key")
		}
	}
}

// sightings are n messages from as many networks as given, with the domains of domain(i).
func sightings(n, networks int, domain func(i int) uint64) (list [][]Sighting) {
	var band []Sighting
	for i := range n {
		band = append(band, Sighting{Letter: uint64(i) + 1, Network: uint64(i%networks) + 1, Domains: [MaxDomains]uint64{domain(i)}})
	}
	return [][]Sighting{band, nil, band, nil}
}

func TestRepeatedBodiesAreToldWithTheirNetworks(t *testing.T) {
	none := func(int) uint64 { return 0 }
	own := func(i int) uint64 { return uint64(i) + 100 }
	half := func(i int) uint64 { return uint64(i % 2) }
	body := strings.Join(prose(1, 200), " ")
	for name, c := range map[string]struct {
		bands     [][]Sighting
		repeated  bool
		strangers bool
	}{
		"robots":                    {sightings(10, 3, none), true, true},
		"each with its own domain":  {sightings(10, 10, own), true, true},
		"nine":                      {sightings(9, 9, none), false, false},
		"two networks":              {sightings(10, 2, none), true, false},
		"one domain vouches":        {sightings(10, 10, func(int) uint64 { return 7 }), true, false},
		"and for half":              {sightings(10, 10, half), true, false},
		"one band only":             {sightings(20, 5, none)[:1], false, false},
		"our own relay's are none":  {[][]Sighting{{}, {}}, false, false},
		"as many as are remembered": {sightings(MaxSightings, 4, none), true, true},
	} {
		memory := &told{answer: Answer{Senders: []Standing{{}}, Bands: c.bands}}
		facts, err := New(config(t), memory).Follow(t.Context(), letter(t, "198.51.100.7", "", body), filters.Report{})
		if err != nil {
			t.Fatal(err)
		}
		got := codesOf(t, facts)
		if slices.Contains(got, "traffic.repeated") != c.repeated || slices.Contains(got, "traffic.repeated-strangers") != c.strangers {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestWhatIsAlikeForGoodReasonsIsNotCompared(t *testing.T) {
	body := strings.Join(prose(1, 200), " ")
	proven := authenticatedAs("friend.example")
	signed := filters.Report{Facts: filters.Facts{Auth: &filters.Auth{DKIM: []filters.DKIM{{Result: "pass", Domain: "list.example"}}}}}
	for name, c := range map[string]struct {
		header   string
		change   func(*mail.Mail)
		before   filters.Report
		compared bool
	}{
		"a letter":                      {"", nil, proven, true},
		"an authenticated newsletter":   {"List-Unsubscribe: <https://x.example>\n", nil, proven, false},
		"a signed list":                 {"List-Id: <l.list.example>\n", nil, signed, false},
		"a newsletter nobody vouches":   {"List-Unsubscribe: <https://x.example>\n", nil, filters.Report{}, true},
		"an authenticated answer":       {"In-Reply-To: <1@x>\n", nil, proven, false},
		"an answer nobody vouches":      {"In-Reply-To: <1@x>\n", nil, filters.Report{}, true},
		"a bounce":                      {"Auto-Submitted: auto-replied\n", func(m *mail.Mail) { m.Envelope.From = mail.Address{} }, filters.Report{}, false},
		"a null path and nothing else":  {"", func(m *mail.Mail) { m.Envelope.From = mail.Address{} }, filters.Report{}, true},
		"what says it is automatic":     {"Auto-Submitted: auto-replied\n", nil, filters.Report{}, true},
		"what our own relays bring":     {"", func(m *mail.Mail) { m.Trusted = true }, proven, false},
		"a letter that auth missed":     {"", nil, filters.Report{}, true},
		"a list that only SPF vouches":  {"List-Id: <l.x>\n", nil, filters.Report{Facts: filters.Facts{Auth: &filters.Auth{SPF: filters.SPF{Result: "pass", Domain: "x.example"}}}}, true},
		"a list whose signature breaks": {"List-Id: <l.x>\n", nil, filters.Report{Facts: filters.Facts{Auth: &filters.Auth{DKIM: []filters.DKIM{{Result: "fail"}}}}}, true},
	} {
		m := letter(t, "198.51.100.7", c.header, body)
		if c.change != nil {
			c.change(m)
		}
		memory := &told{}
		if _, err := New(config(t), memory).Follow(t.Context(), m, c.before); err != nil {
			t.Fatal(err)
		}
		if got := memory.asked != nil && memory.asked.Bands != nil; got != c.compared {
			t.Errorf("%s: compared %v", name, got)
		}
	}
}

func TestAMessageThatComesAgainIsTheSame(t *testing.T) {
	body := strings.Join(prose(1, 200), " ")
	ask := func(client, header string) Sighting {
		memory := &told{}
		if _, err := New(config(t), memory).Follow(t.Context(), letter(t, client, header, body), filters.Report{}); err != nil {
			t.Fatal(err)
		}
		return memory.asked.Sighting
	}
	one, again, other := ask("198.51.100.7", "Message-ID: <1@x>\n"), ask("203.0.113.7", "Message-ID: <1@x>\n"), ask("198.51.100.8", "Message-ID: <2@x>\n")
	if one.Letter != again.Letter || one.Letter == other.Letter || one.Network != other.Network || one.Network == again.Network {
		t.Errorf("%+v\n%+v\n%+v", one, again, other)
	}
}

// A memory that cannot be asked is a failure, never a clean message; where nobody remembers, nothing is stated.
func TestAMemoryThatIsAwayIsAFailure(t *testing.T) {
	gone := errors.New("redis is away")
	if _, err := New(config(t), &told{err: gone}).Follow(t.Context(), letter(t, "198.51.100.7", "", "x"), filters.Report{}); !errors.Is(err, gone) {
		t.Error(err)
	}
	for _, m := range []Memory{nil, nobody{}} {
		facts, err := New(config(t), m).Check(t.Context(), letter(t, "198.51.100.7", "", "x"))
		if err != nil || len(facts.Findings) > 0 {
			t.Error(facts, err)
		}
	}
}

type nobody struct{ Memory }

func (nobody) Key() *Key { return nil }

// Whatever a text is, reading it ends, and keeps to its bounds.
func FuzzSketch(f *testing.F) {
	f.Add("a b c", uint64(1))
	f.Add(strings.Join(prose(1, 100), " "), uint64(2))
	f.Add("\xff\u200b\u4eca\u5929>\n>", uint64(math.MaxUint64))
	f.Fuzz(func(t *testing.T, text string, key uint64) {
		k := &Key{key, ^key}
		s := k.sketchOf(text)
		if list := s.bands(); s.number > maxShingles || list != nil && (len(list) != bands || s.number < minShingles) {
			t.Errorf("%d shingles, %d bands", s.number, len(list))
		}
	})
}

func BenchmarkSketch(b *testing.B) {
	key := (&told{}).Key()
	for _, words := range []int{200, 9000} {
		text := strings.Join(prose(1, words), " ")
		b.Run(fmt.Sprint(words, " words"), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				key.sketchOf(text).bands()
			}
		})
	}
}

func BenchmarkCheck(b *testing.B) {
	memory := &told{answer: Answer{Senders: []Standing{{}}, Bands: sightings(10, 3, func(int) uint64 { return 0 })}}
	f, m := New(config(b), memory), letter(b, "198.51.100.7", "", strings.Join(prose(1, 400), " "))
	m.Text()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Check(context.Background(), m); err != nil {
			b.Fatal(err)
		}
	}
}
