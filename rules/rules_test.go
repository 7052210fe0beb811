package rules

import (
	"context"
	"strings"
	"testing"
	"unicode/utf8"

	"gatepost/rules/conf"
)

// pack wraps rules, which are indented by two, into a pack.
func pack(text string) Pack {
	return Pack{File: "p.yaml", Data: []byte("version: 1\nrules:\n" + text)}
}

// compile compiles one rule, given as what follows its name; why and examples are added where they are missing.
func compile(t testing.TB, body string) *Set {
	t.Helper()
	s, problems := Compile(pack(rule("r", body)))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return s
}

func rule(name, body string) string {
	text := "  - {name: " + name + ", " + body
	if !strings.Contains(body, "why:") {
		text += ", why: it is so"
	}
	if !strings.Contains(body, "hits:") {
		text += `, hits: [{subject: "zzz hit zzz", body: "zzz hit zzz"}]`
	}
	if !strings.Contains(body, "misses:") {
		text += `, misses: ["zzz miss zzz"]`
	}
	return text + "}\n"
}

// names lists the rules that hold.
func names(s *Set, texts ...Text) []string {
	hits, _ := s.Match(context.Background(), texts)
	var list []string
	for _, h := range hits {
		list = append(list, s.rules[h.Rule].Name)
	}
	return list
}

func TestTheShippedPacksKeepTheirExamplesInBothLanguages(t *testing.T) {
	s, problems := Load(nil, nil)
	for _, p := range problems {
		t.Error(p)
	}
	if len(problems) > 0 {
		return
	}
	for _, r := range s.Rules() {
		if r.English == "" || r.Chinese == "" || r.English == r.Chinese {
			t.Errorf("%s says why in one language alone", r.Name)
		}
		if !strings.HasSuffix(r.English, ".") || !strings.HasSuffix(r.Chinese, "。") {
			t.Errorf("%s: why is no sentence", r.Name)
		}
	}
	t.Log(s)
}

func TestWhatARuleAsksForMustBeThere(t *testing.T) {
	for _, c := range []struct {
		rule      string
		yes, no   []Text
		alsoNever Text
	}{
		{rule: `match: [hit, free money]`, yes: []Text{{"body", "take the FREE   money now"}}, no: []Text{{"body", "freemoney"}}, alsoNever: Text{"url", "free money"}},
		{rule: `match: [hit, "unsubscri*"]`, yes: []Text{{"body", "unsubscribed"}}, no: []Text{{"body", "resubscribed"}}},
		{rule: `match: [hit, "*scribe"]`, yes: []Text{{"body", "please unsubscribe."}}, no: []Text{{"body", "unsubscribed"}}},
		{rule: `match: [hit, "/fre{1,3}e? m.{0,3}ney/"]`, yes: []Text{{"subject", "FREEE M O NEY"}}, no: []Text{{"subject", "fr money"}}},
		{rule: `match: [hit, one, two, three], at_least: 2, hits: [one two]`, yes: []Text{{"subject", "one"}, {"body", "three"}}, no: []Text{{"body", "one one one"}}},
		{rule: `match: [hit], all: [apple, {in: [url], match: [pear]}], hits: [{body: hit apple, url: pear}]`,
			yes: []Text{{"body", "hit apple"}, {"url", "http://pear/"}}, no: []Text{{"body", "hit apple pear"}}},
		{rule: `match: [hit], any: [apple, pear], hits: [hit pear]`, yes: []Text{{"body", "hit apple"}}, no: []Text{{"body", "hit"}}},
		{rule: `match: [hit], not: [{in: [sign], match: [list]}]`, yes: []Text{{"body", "hit"}}, no: []Text{{"body", "hit"}, {"sign", "list"}}},
		{rule: `in: [subject], exact: true, match: ["zzz hit", "/^[A-Z ]+$/"]`, yes: []Text{{"subject", "BUY NOW"}}, no: []Text{{"subject", "Buy now"}}},
		{rule: `in: ["header:X-Mailer"], match: ["/^the bat/"], hits: [The Bat!]`, yes: []Text{{"header:x-mailer", "The Bat! 1.0"}}, no: []Text{{"header:x-mailer", "not the bat"}}},
		{rule: `match: [hit, 免费领取]`, yes: []Text{{"body", "请您免费领取奖品"}}, no: []Text{{"body", "免费"}}},
		{rule: `match: [hit, "/подтверд[а-я]{1,4} (ваш|наш)(а|и|е) почт/"]`, yes: []Text{{"body", "Подтвердите ваши почтовые данные"}}, no: []Text{{"body", "подтверждение нашего счета"}}},
		{rule: `match: [hit, "/αγαπητ(ε|έ) πελάτ/"]`, yes: []Text{{"body", "Αγαπητέ πελάτη"}}, no: []Text{{"body", "Αγαπητοί"}}},
		{rule: `match: [hit, "/\\bpay ?pal\\b/"]`, yes: []Text{{"body", "раураl"}}, no: []Text{{"body", "paypals"}}},
	} {
		s := compile(t, c.rule)
		if len(names(s, c.yes...)) != 1 {
			t.Errorf("%s does not hold for %v", c.rule, c.yes)
		}
		if len(names(s, c.no...)) != 0 {
			t.Errorf("%s holds for %v", c.rule, c.no)
		}
		if c.alsoNever.Place != "" && len(names(s, c.alsoNever)) != 0 {
			t.Errorf("%s holds for %v", c.rule, c.alsoNever)
		}
	}
}

// letters that look alike, letters that cannot be seen and other widths do not hide a word.
func TestDisguisesFoldAway(t *testing.T) {
	for disguise, plain := range map[string]string{
		"V\u200bI\u00adA\u2060GRA": "viagra", "Ｆｒｅｅ　ｍｏｎｅｙ": "free money", "раypаl": "paypal", "𝐒𝐔𝐂𝐂𝐄𝐒𝐒": "success",
		"contraseña ÉTÉ": "contrasena ete", "Straße": "strasse", "a\t \r\n b": "a b", "don’t “x” – y": `don't "x" - y`, "КОТ кот": "kot kot",
		"\xff\xfe": "??", "e\u0301": "e", "汉字 漢字": "汉字 漢字", "ガギ": "ガギ", "ΡΑΥ": "pay",
	} {
		if got := Fold(disguise); got != plain {
			t.Errorf("%q folds to %q, not %q", disguise, got, plain)
		}
	}
}

func TestEvidenceIsWhatTheReaderSees(t *testing.T) {
	s := compile(t, `match: [hit, free money]`)
	text := "Dear you,\r\n\u200b take the Ｆｒｅｅ \r\n  МONEY\u200b now"
	hits, complete := s.Match(context.Background(), []Text{{"subject", "x"}, {"body", text}})
	if len(hits) != 1 || len(hits[0].Proof) != 1 || !complete {
		t.Fatalf("%v %v", hits, complete)
	}
	p := hits[0].Proof[0]
	if p.Text != 1 || text[p.Start:p.End] != "Ｆｒｅｅ \r\n  МONEY" {
		t.Errorf("%v is %q", p, text[p.Start:p.End])
	}
	if q := p.Quote([]Text{{}, {"body", text}}); !strings.Contains(q, "take the Ｆｒｅｅ МONEY") {
		t.Errorf("quoted as %q", q)
	}
}

func TestALaterPackReplacesARuleByItsName(t *testing.T) {
	a, b := pack(rule("r", "match: [hit, apple]")), pack(rule("r", "match: [hit, pear], weight: 3"))
	b.File = "site.yaml"
	s, problems := Compile(a, b)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if len(s.Rules()) != 1 || s.Rules()[0].Weight != 3 || len(names(s, Text{"body", "apple"})) != 0 || len(names(s, Text{"body", "pear"})) != 1 {
		t.Errorf("rules %v", s.Rules())
	}
}

// brokenPacks are packs and the exact words of their problems.
var brokenPacks = []struct{ text, want string }{
	{rule("R x", "match: [hit]"), `p.yaml:3:12: name: a name is lower-case words joined by - or . as in parcel.redelivery-fee, at most 60 letters`},
	{rule("r", "match: [hit], weight: 50"), `p.yaml:3:37: weight: a weight is between -5 and 20`},
	{rule("r", "match: [hit], in: [subjct]"), `p.yaml:3:34: in: there is no place "subjct"; the places are subject, from, body, html, hidden, url, link, file, type, sign and header:NAME (did you mean "subject"?)`},
	{rule("r", "match: [hit], in: ['header:']"), `p.yaml:3:34: in: header: needs the name of a field, as in header:X-Mailer`},
	{rule("r", "weight: 1"), `p.yaml:3:5: rules: rule r asks for nothing: it needs match, all or any`},
	{rule("r", "match: [hit, ab]"), `p.yaml:3:28: match: the phrase "ab" is too short to be looked for: it needs 3 letters`},
	{rule("r", "match: [hit, a*b]"), `p.yaml:3:28: match: a * stands only at the beginning or the end of a phrase; write a regular expression between slashes: /free .{0,20}money/`},
	{rule("r", "match: [hit, '/a(b/']"), "p.yaml:3:28: match: the regular expression cannot be read: missing closing ): `a(b`"},
	{rule("r", "match: [hit, '/(?=x)y/']"), "p.yaml:3:28: match: the regular expression cannot be read: invalid or unsupported Perl syntax: `(?=`"},
	{rule("r", "match: [hit, '/abc.*def/']"), `p.yaml:3:28: match: a match may be longer than 4096 octets: bound repetitions, as in .{0,200} in place of .*; only short places do without, and body is long`},
	{rule("r", "match: [hit, '/[a-z]{3}/']"), `p.yaml:3:28: match: a pattern for body needs a fixed text of at least 3 letters, and may not ask for the beginning or end: add a word that is always there`},
	{rule("r", "match: [hit, '/^abc/']"), `p.yaml:3:28: match: a pattern for body needs a fixed text of at least 3 letters, and may not ask for the beginning or end: add a word that is always there`},
	{rule("r", `match: [hit, '/abc\B/']`), `p.yaml:3:28: match: \B and (?m) are not supported here: texts are folded into one line`},
	{rule("r", "in: [subject], match: [hit, '/a*/']"), `p.yaml:3:43: match: the regular expression matches an empty text, so it is everywhere`},
	{rule("r", "in: [url], match: [hit, '/a{900}b{900}c{900}/']"), `p.yaml:3:39: match: the regular expression is too large: more than 2000 steps; shorten its repetitions`},
	{rule("r", "match: [hit], exact: true"), `p.yaml:3:23: match: exact patterns are looked for only in short places, and body is long`},
	{rule("r", "match: [hit], at_least: 3"), `p.yaml:3:39: at_least: 3 of 1 patterns can never be there`},
	{rule("r", "match: [hit], hits: [miss]"), `p.yaml:3:36: hits: rule r does not find this example; correct the pattern, or move the example to misses`},
	{rule("r", "match: [hit], misses: [a hit]"), `p.yaml:3:38: misses: rule r finds this example, and must not; narrow the pattern, or move the example to hits`},
	{rule("r", "match: [hit], hits: []"), `p.yaml:3:35: hits: needs at least one example`},
	{rule("r", "match: [hit], all: [{all: [{all: [{all: [{all: [x]}]}]}]}]"), `p.yaml:3:63: all: conditions are nested more than 4 deep`},
	{rule("r", "match: [hit]") + rule("r", "match: [hit]"), `p.yaml:4:12: name: rule r was already given at line 3`},
	{rule("r", "mach: [hit]"), `p.yaml:3:15: unknown key "mach" in rules (did you mean "match"?)`},
}

// A set is compiled again only if an octet, a name or the order of its packs has changed.
func TestASetIsKeptAsLongAsItsPacksAreTheSame(t *testing.T) {
	one := Pack{File: "a.yaml", Data: pack(rule("one", "match: [hit, once]")).Data}
	two := Pack{File: "b.yaml", Data: pack(rule("two", "match: [hit, twice]")).Data}
	renamed, changed := two, two
	renamed.File = "c.yaml"
	changed.Data = pack(rule("two", "match: [hit, thrice]")).Data
	var none *Set
	first, problems := none.Again(one, two)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if again, _ := first.Again(one, two); again != first {
		t.Error("the same packs were compiled again")
	}
	for _, packs := range [][]Pack{{two, one}, {one}, {one, renamed}, {one, changed}} {
		again, problems := first.Again(packs...)
		if again == first || len(problems) > 0 {
			t.Errorf("kept for %v, %v", packs, problems)
		}
	}
	broken := Pack{File: "b.yaml", Data: []byte("version: 1\nrules: [{name: two}]\n")}
	if again, problems := first.Again(one, broken); again != nil || len(problems) == 0 {
		t.Error("a broken pack left the set in force")
	}
}

func TestABrokenPackSaysWhereAndWhatToDo(t *testing.T) {
	for _, c := range brokenPacks {
		s, problems := Compile(pack(c.text))
		if len(problems) != 1 || problems[0].Error() != c.want || s != nil {
			t.Errorf("%s got %v\nwant %s", c.text, problems, c.want)
		}
	}
}

// A pattern that is tried at many places of every message is loaded, and its author told.
func TestADearPatternIsNoted(t *testing.T) {
	s, problems := Compile(pack(rule("r", "match: [hit, '/.{0,200}and .{0,200}x/', 'and so on', '/the end of .{0,200}x/']")))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	const want = `p.yaml:3:28: match: this pattern slows every message: of the fixed texts that it is looked for by, such as "and ", one stands in about 362 octets of ordinary mail, and a match may begin at up to 200 places before one, and there the pattern is tried; hold a longer text or a rarer one, nearer to the beginning`
	if notes := s.Notes(); len(notes) != 1 || notes[0].Error() != want {
		t.Errorf("notes %v\nwant %s", notes, want)
	}
	if notes := shippedSet(t).Notes(); len(notes) > 0 {
		t.Errorf("notes on the shipped packs: %v", notes)
	}
}

func TestPacksAreReadFromFilesAndDirectories(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/b.yaml", pack(rule("site.b", "match: [hit]")).Data)
	write(t, dir+"/a.yaml", pack(rule("site.a", "match: [hit]")).Data)
	write(t, dir+"/notes.txt", []byte("no pack"))
	s, problems := Load([]string{dir}, nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	list := s.Rules()
	if n := len(list); list[n-2].Name != "site.a" || list[n-1].Name != "site.b" || list[n-1].Pos.File != dir+"/b.yaml" {
		t.Errorf("the last rules are %v", list[n-2:])
	}
	_, problems = Load([]string{dir + "/none"}, nil)
	if len(problems) != 1 || problems[0].Error() != dir+"/none: cannot find rules: no such file or directory" {
		t.Errorf("%v", problems)
	}
}

// Nobody can make the matcher work without end: a text is cut, patterns share one budget, and the result says so.
func TestWorkIsBounded(t *testing.T) {
	var list []string
	for i := range 200 {
		list = append(list, strings.Replace(rule("r", `match: [hit, "/aaa[ab]{0,`+itoa(800+i%190)+`}c`+itoa(i)+`/"]`), "name: r", "name: r"+itoa(i), 1))
	}
	s, problems := Compile(pack(strings.Join(list, "")))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	hits, complete := s.Match(context.Background(), []Text{{"body", strings.Repeat("a", 2*maxLong)}})
	if complete || len(hits) > 0 {
		t.Errorf("complete %v with %d hits", complete, len(hits))
	}
	if c := clip(Text{"body", strings.Repeat("汉", maxLong)}); len(c) > maxLong || !utf8.ValidString(c) {
		t.Errorf("%d octets are looked at", len(c))
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, complete := s.Match(ctx, []Text{{"body", "hit"}}); complete {
		t.Error("it went on behind the end of its context")
	}
}

func TestProblemsOfSeveralPacksComeTogether(t *testing.T) {
	a, b := pack(rule("r", "mach: [hit]")), pack(rule("q", "weight: 50"))
	b.File = "q.yaml"
	_, problems := Compile(a, b)
	if len(problems) != 2 || problems[0].Pos != (conf.Pos{File: "p.yaml", Line: 3, Col: 15}) || problems[1].Pos.File != "q.yaml" {
		t.Errorf("%v", problems)
	}
}
