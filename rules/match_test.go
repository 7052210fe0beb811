package rules

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"regexp/syntax"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

func write(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// shippedSet is the shipped rules.
func shippedSet(t testing.TB) *Set {
	t.Helper()
	s, problems := Load(nil, nil)
	if len(problems) > 0 {
		t.Fatal(problems[0])
	}
	return s
}

// naive finds what each pattern finds first by trying it on the whole of every text.
func naive(s *Set, texts []Text) []place {
	found := make([]place, len(s.patterns))
	for n := range s.patterns {
		p := &s.patterns[n]
		found[n].text = -1
		for i, t := range texts {
			at, ok := s.places[t.Place]
			if !ok || !p.places.has(at) {
				continue
			}
			text := clip(t)
			if !p.exact {
				text = Fold(text)
			}
			var loc []int
			if p.phrase != "" {
				loc = wholeWord(text, p)
			} else {
				loc = expressionOf(p).FindStringIndex(text)
			}
			if loc != nil {
				found[n] = place{int32(i), int32(loc[0]), int32(loc[1]), p.exact}
				break
			}
		}
	}
	return found
}

// expressions are what package regexp makes of patterns, by source.
var expressions sync.Map

// expressionOf is the regular expression of a pattern, made by package regexp.
func expressionOf(p *pattern) *regexp.Regexp {
	key := [2]any{p.source, p.exact}
	if re, ok := expressions.Load(key); ok {
		return re.(*regexp.Regexp)
	}
	flags := syntax.Perl
	if !p.exact {
		flags |= syntax.FoldCase
	}
	tree, err := syntax.Parse(p.source[1:len(p.source)-1], flags)
	if err != nil {
		panic(err)
	}
	if !p.exact {
		tree = folded(tree)
	}
	re := regexp.MustCompile(tree.String())
	expressions.Store(key, re)
	return re
}

// provedBy is hits in a form to compare.
func provedBy(hits []Hit) string { return fmt.Sprint(hits) }

// allProofs is provedBy of what the rules make of patterns that were all tried.
func allProofs(s *Set, found []place, texts []Text) string {
	var hits []Hit
	for n := range s.asks {
		patterns, ok := plainly(&s.asks[n], found)
		if !ok {
			continue
		}
		h := Hit{Rule: n}
		for _, p := range patterns[:min(len(patterns), maxProof)] {
			f := found[p]
			start, end := int(f.start), int(f.end)
			if !f.exact {
				start, end = unfold(nil, clip(texts[f.text]), mark{}, start, end)
			}
			h.Proof = append(h.Proof, Proof{Text: int(f.text), Start: start, End: end})
		}
		hits = append(hits, h)
	}
	return provedBy(hits)
}

// plainly says whether a condition holds, and by which patterns, where it is known of every pattern whether it is there.
func plainly(c *condition, found []place) (proof []int32, ok bool) {
	for _, n := range c.match {
		if found[n].text >= 0 {
			proof = append(proof, n)
		}
	}
	if len(c.match) > 0 && len(proof) < c.least {
		return nil, false
	}
	for i := range c.all {
		more, ok := plainly(&c.all[i], found)
		if !ok {
			return nil, false
		}
		proof = append(proof, more...)
	}
	for i := range c.not {
		if _, ok := plainly(&c.not[i], found); ok {
			return nil, false
		}
	}
	for i := range c.any {
		if more, ok := plainly(&c.any[i], found); ok {
			return append(proof, more...), true
		}
	}
	return proof, len(c.any) == 0
}

// wholeWord finds a phrase letter by letter.
func wholeWord(text string, p *pattern) []int {
	for i := range len(text) - len(p.phrase) + 1 {
		end := i + len(p.phrase)
		if text[i:end] != p.phrase ||
			p.left && i > 0 && wordy(text[i]) && wordy(text[i-1]) ||
			p.right && end < len(text) && wordy(text[end-1]) && wordy(text[end]) {
			continue
		}
		return []int{i, end}
	}
	return nil
}

// agree fails if the one pass finds anything else than each pattern for itself does.
func agree(t *testing.T, s *Set, texts []Text) {
	t.Helper()
	want := naive(s, texts)
	for _, often := range []bool{false, true} {
		m := newMatcher(s)
		m.reset(texts)
		for i, x := range texts {
			if m.look(i, x); often {
				m.settle()
			}
		}
		m.settle()
		for n := range want {
			if there := want[n].text >= 0; there != (m.known[n] == yes) || there && m.found[n] != want[n] {
				t.Fatalf("pattern %s: %d, found %v, one by one %v\nin %q", s.patterns[n].source, m.known[n], m.found[n], want[n], texts)
			}
		}
	}
	hits, _ := s.Match(context.Background(), texts)
	if got, want := provedBy(hits), allProofs(s, want, texts); got != want {
		t.Fatalf("found %s, where every pattern is tried %s\nin %q", got, want, texts)
	}
	for _, h := range hits {
		for _, p := range h.Proof {
			if p.Start < 0 || p.End < p.Start || p.End > len(texts[p.Text].Content) {
				t.Fatalf("proof %v of %q", p, texts)
			}
			p.Quote(texts)
		}
	}
}

// fuzzRules have patterns of every kind.
const fuzzRules = `
  - {name: a, match: [free money, "hit*", "*ing", 免费, "/abb?c/", "/\\bpay.{0,9}now\\b/", "/(foo|ba[rz]) ?qux/", "/x(yz){2}/", "/[ab]lpha|beta|gamma/"], why: w, hits: [hit], misses: [x]}
  - {name: b, in: [subject, from], match: ["/^re:/", "/[0-9]+$/", "/^.?$/", abc], why: w, hits: ["re: x"], misses: [xx]}
  - {name: c, in: [subject], exact: true, match: [ABC, "/[A-Z]{4}/", x], why: w, hits: [ABC], misses: [abcd]}
  - {name: d, in: [html, body], match: ["/<font[^>]{0,20}size=.?[0-9]/", "/caf[ée] \\w{2,9}\\b/", "/aaa[ab]{0,9}aa/", "/over over/", "over over over"], why: w, hits: ["<font size=1"], misses: [x]}
`

func FuzzMatchAgreesWithOneByOne(f *testing.F) {
	f.Add("free money", "pay me now", "x")
	f.Add("re: ABCD12", "<font color=x size=\"7 aaabaa over over over", "")
	f.Add("Re: аbс", "免费\u200b caf\u00e9 xx\xff foo qux fooqux bar", "abbbc ab c xyzyz beta")
	f.Add("", strings.Repeat("over ", 40), strings.Repeat("aab", 30))
	small, problems := Compile(pack(fuzzRules))
	if len(problems) > 0 {
		f.Fatal(problems)
	}
	f.Fuzz(func(t *testing.T, subject, body, html string) {
		agree(t, small, []Text{{"subject", subject}, {"body", body}, {"from", html}, {"html", html}})
	})
}

func FuzzShippedRulesAgreeWithOneByOne(f *testing.F) {
	s := shippedSet(f)
	packs, err := Shipped()
	if err != nil {
		f.Fatal(err)
	}
	for _, p := range packs {
		for line := range strings.Lines(string(p.Data)) {
			if _, text, ok := strings.Cut(line, "hits: "); ok {
				f.Add(text)
			}
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			return
		}
		agree(t, s, []Text{{"subject", text}, {"from", text}, {"body", text}, {"html", text}})
	})
}

func FuzzCompile(f *testing.F) {
	for _, c := range brokenPacks {
		f.Add([]byte("version: 1\nrules:\n" + c.text))
	}
	f.Add([]byte("version: 1\nrules:" + fuzzRules))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		s, problems := Compile(Pack{"p.yaml", data})
		if (s == nil) == (len(problems) == 0) {
			t.Fatalf("a set %v and problems %v", s, problems)
		}
		for _, p := range problems {
			if p.Message == "" || strings.ContainsAny(p.Error(), "\n\x1b\x00") {
				t.Fatalf("problem %q", p.Error())
			}
		}
		if s != nil {
			agree(t, s, []Text{{"subject", string(data)}, {"body", string(data)}})
		}
	})
}

func FuzzFold(f *testing.F) {
	for _, s := range []string{"Ａ\u200bb  c", "\xff\xe4", "ﷺ½…㏒⑽", "e\u0301 x", "КОТ"} {
		f.Add(s, 1, 3)
	}
	f.Fuzz(func(t *testing.T, s string, start, end int) {
		folded := Fold(s)
		if len(folded) > growth*len(s) {
			t.Fatalf("%q grew to %d octets", s, len(folded))
		}
		if Fold(folded) != folded && !strings.Contains(s, "\u0345") {
			if twice := Fold(folded); Fold(twice) != twice {
				t.Fatalf("%q folds to %q, then %q", s, folded, twice)
			}
		}
		if start < 0 || start >= end || end > len(folded) {
			return
		}
		from, to := unfold(nil, s, mark{}, start, end)
		if from < 0 || to <= from || to > len(s) {
			t.Fatalf("[%d, %d) of %q is [%d, %d) of %q", start, end, folded, from, to, s)
		}
		if again := fold(nil, s[:from]); len(again) > start {
			t.Fatalf("%q folds to more than %d octets", s[:from], start)
		}
		long := strings.Repeat("x", between-1) + s + strings.Repeat(" ", 2*between) + s
		m := matcher{}
		m.buf, m.marks = foldMarked(nil, long, 0, nil)
		if string(m.buf) != Fold(long) {
			t.Fatalf("with marks %q folds to %q", long, m.buf)
		}
		for _, at := range []int{start, between + start, len(m.buf) - 1} {
			at, end := min(at, len(m.buf)-1), min(at+end-start, len(m.buf))
			f1, t1 := unfold(nil, long, mark{}, at, end)
			if f2, t2 := unfold(nil, long, m.before(place{start: int32(at)}), at, end); f1 != f2 || t1 != t2 {
				t.Fatalf("[%d, %d) of %q is [%d, %d), by its marks [%d, %d)", at, end, m.buf, f1, t1, f2, t2)
			}
		}
	})
}

// A pack of a size that a site may have allocates no more than a known multiple of it.
func TestMemoryOfACompiledSetIsBounded(t *testing.T) {
	p := many(1000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, problems := Compile(p); len(problems) > 0 {
		t.Fatal(problems[0])
	}
	runtime.ReadMemStats(&after)
	if got, most := after.TotalAlloc-before.TotalAlloc, uint64(800*len(p.Data)); got > most {
		t.Errorf("%d bytes for a pack of %d, more than %d", got, len(p.Data), most)
	}
}

// many is a pack of n rules of the kinds that are shipped, made of the words that those look for.
func many(n int) Pack {
	rnd := rand.New(rand.NewPCG(3, 4))
	words := vocabulary()
	word := func() string { return words[rnd.IntN(len(words))] }
	oneOf := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = word()
		}
		return "(" + strings.Join(list, "|") + ")"
	}
	phrases := []func() string{
		func() string { return word() + " " + word() },
		func() string { return word() + " " + word() + " " + word() },
		func() string { return word() + " " + word() + "*" },
		func() string { return "*" + word() + " " + word() },
	}
	expressions := []func() string{
		func() string { return "/" + oneOf(3) + " .{0,40}" + oneOf(4) + "/" },
		func() string { return "/" + word() + " (your |the |this )?" + oneOf(2) + "s?/" },
		func() string { return `/\\b` + oneOf(4) + " " + oneOf(2) + `\\b/` },
		func() string { return `/(\\$|£|€) ?[0-9,.]{2,9} ?` + oneOf(2) + "/" },
		func() string { return "/" + word() + ".{0,20}" + word() + ".{0,60}" + word() + "/" },
		func() string { return "/<" + word() + "[^>]{0,100}" + word() + ` ?= ?['#]?` + word() + "/" },
		func() string { return "/" + word() + " [a-z0-9._-]{1,40}@" + word() + "/" },
	}
	var b strings.Builder
	for i := range n {
		first := fmt.Sprintf("%s %s %d", word(), word(), i)
		list := []string{first}
		for range 5 {
			kinds := phrases
			if rnd.IntN(4) == 0 { // of the shipped patterns, one in four
				kinds = expressions
			}
			list = append(list, kinds[rnd.IntN(len(kinds))]())
		}
		in := []string{"[subject, body]", "[subject, body]", "[body, html]", "[subject]"}[rnd.IntN(4)]
		b.WriteString(rule("r"+itoa(i), fmt.Sprintf(`in: %s, match: ["%s"], hits: ["%s"]`, in, strings.Join(list, `", "`), first)))
	}
	return pack(b.String())
}

// vocabulary is the words of the shipped packs.
func vocabulary() []string {
	packs, err := Shipped()
	if err != nil {
		panic(err)
	}
	known := map[string]bool{}
	var words []string
	for _, p := range packs {
		for line := range strings.Lines(string(p.Data)) {
			_, line, _ = strings.Cut(line, "match: [")
			for _, w := range regexp.MustCompile("[a-z]{4,12}").FindAllString(line, -1) {
				if !known[w] {
					known[w] = true
					words = append(words, w)
				}
			}
		}
	}
	return words
}

// letter is a text of the length and kind of an ordinary message.
func letter() []Text {
	body := strings.Repeat("Dear Ann, your account at the club is fine; the parcel with the invoice came on Monday, and we will transfer the bonus to you. Please verify the survey of the credit union before the password expires. Regards, Bob. ", 40)
	return []Text{{"subject", "The parcel and the invoice"}, {"body", body[:8000]}}
}

// realMail is messages as they are sent, each as a body and as HTML; without the corpora, a letter.
func realMail(b *testing.B) (list [][]Text, octets int64) {
	b.Helper()
	for _, folder := range []string{"spamham-spamassassin/ham", "spamham-spamassassin/spam", "ham-modern-usrp/eml"} {
		files, err := filepath.Glob(filepath.Join("..", "..", "shared", "corpora", folder, "*"))
		if err != nil {
			b.Fatal(err)
		}
		for _, file := range files[:min(len(files), 40)] {
			data, err := os.ReadFile(file)
			if err != nil {
				b.Fatal(err)
			}
			list = append(list, []Text{{"subject", "The parcel and the invoice"}, {"body", string(data)}, {"html", string(data)}})
		}
	}
	if len(list) == 0 {
		list = append(list, letter())
	}
	for _, texts := range list {
		for _, t := range texts {
			octets += int64(len(t.Content))
		}
	}
	return list, octets
}

// A thousand rules cost less than twice what a hundred do: the octets that are read, the words that are compared at them and
// the steps of expressions.
func TestAThousandRulesCostLessThanTwiceAHundred(t *testing.T) {
	var cost [2]int
	texts := letter()
	for i, n := range []int{100, 1000} {
		s, problems := Compile(many(n))
		if len(problems) > 0 {
			t.Fatal(problems[0])
		}
		m := newMatcher(s)
		for _, x := range texts {
			cost[i] += len(x.Content)
		}
		m.match(context.Background(), texts)
		cost[i] += m.runner.work
		t.Logf("%s: %d", s, cost[i])
	}
	if cost[1] >= 2*cost[0] {
		t.Errorf("%d, not less than twice %d", cost[1], cost[0])
	}
}

// The sets look at each message in turn: what the machine has to do besides blurs all alike.
func BenchmarkAThousandRulesBesideAHundred(b *testing.B) {
	sizes := []int{100, 1000, 3000}
	var sets []*Set
	for _, n := range sizes {
		s, problems := Compile(many(n))
		if len(problems) > 0 {
			b.Fatal(problems[0])
		}
		sets = append(sets, s)
	}
	list, octets := realMail(b)
	took := make([]time.Duration, len(sets))
	for b.Loop() {
		for _, texts := range list {
			for i, s := range sets {
				start := time.Now()
				s.Match(context.Background(), texts)
				took[i] += time.Since(start)
			}
		}
	}
	for i, n := range sizes {
		b.ReportMetric(float64(took[i])/float64(b.N)/float64(octets), "ns/octet-of-"+itoa(n))
		b.ReportMetric(float64(took[i])/float64(took[0]), "times-100-of-"+itoa(n))
	}
}

func BenchmarkMatch(b *testing.B) {
	s := shippedSet(b)
	for _, c := range []struct {
		name  string
		texts []Text
	}{
		{"letter", letter()},
		{"bait", []Text{{"body", strings.Repeat("only just before to be removed $ 100 account was click here <font ", maxLong/64)}}},
		{"one-octet", []Text{{"body", strings.Repeat("=", maxLong)}}},
		{"far", []Text{{"body", strings.Repeat("Ｆｒｅｅ мoney 免费 ", maxLong/32)}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			size := 0
			for _, t := range c.texts {
				size += len(t.Content)
			}
			b.SetBytes(int64(size))
			for b.Loop() {
				s.Match(context.Background(), c.texts)
			}
		})
	}
}

func BenchmarkFold(b *testing.B) {
	for name, text := range map[string]string{"ascii": letter()[1].Content, "chinese": strings.Repeat("尊敬的用户，您的账户已被冻结。", 200), "accents": strings.Repeat("Votre compte a été suspendu à cause d’une activité. ", 150)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			buf := make([]byte, 0, 4*len(text))
			for b.Loop() {
				buf = fold(buf[:0], text)
			}
		})
	}
}

func BenchmarkCompileShipped(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		shippedSet(b)
	}
}

func TestAFinderFindsEveryWord(t *testing.T) {
	for _, words := range [][]string{
		{"she", "his", "hers", "usher", "abcd", "bcd", "abcdabce", "cdab", "abc", "0123456789abcdef", "efghijklmnop"},
		{"usher", "abcd"}, {"she"}, nil,
	} {
		f := newFinder(lookFor(words))
		for _, text := range []string{"ushers", "xxabcdabcexx", "hishishe", "", "sh", "she", "abcabcd", "x0123456789abcdefghijklmnopq", "0123456789abcde", "abc\x00d"} {
			var got, want []string
			f.scan(append([]byte(text), make([]byte, pad)...), func(w int32, start int) { got = append(got, fmt.Sprint(words[w], start)) })
			for end := 1; end <= len(text); end++ {
				for _, w := range words {
					if strings.HasSuffix(text[:end], w) {
						want = append(want, fmt.Sprint(w, end-len(w)))
					}
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s: %v, not %v", text, got, want)
			}
		}
	}
}
