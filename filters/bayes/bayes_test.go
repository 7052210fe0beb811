package bayes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/filters/mail"
)

// message is one with a subject and a text.
func message(subject, text string) *mail.Message {
	s := "From: Ann <ann@a.example>\r\nTo: b@b.example\r\nSubject: " + subject + "\r\n\r\n" + text + "\r\n"
	return mail.Parse(mail.Memory(s))
}

// school makes lessons of invented mail: spam sells, ham talks of work; both have much in common.
func school(seed Seed, n int) []Lesson {
	return lessons(seed, n, func(_ bool, text string) *mail.Message { return message("news", text) })
}

// lessons makes them of messages with invented texts.
func lessons(seed Seed, n int, write func(spam bool, text string) *mail.Message) []Lesson {
	dice := rand.New(rand.NewPCG(7, 7))
	pick := func(words string) string {
		list := strings.Fields(words)
		var out []string
		for range 12 {
			out = append(out, list[dice.IntN(len(list))])
		}
		return strings.Join(out, " ")
	}
	const both = " the of and to a in that is was for it with as his on be at by "
	var list []Lesson
	for i := range n {
		spam := i%2 == 0
		text := pick("meeting project report minutes agenda colleague budget schedule draft review" + both)
		if spam {
			text = pick("winner prize casino cheap pills bonus claim lottery million refund" + both)
		}
		packed, err := Unpack(Pack(seed.Tokens(write(spam, text))))
		if err != nil {
			panic(err)
		}
		list = append(list, Lesson{Spam: spam, Tokens: packed})
	}
	return list
}

func fitted(t testing.TB, lessons []Lesson) *Model {
	t.Helper()
	m, err := Fit(context.Background(), 1, lessons)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// fixed is a Source.
type fixed struct {
	m   *Model
	err error
}

func (f fixed) Model() (*Model, error) { return f.m, f.err }

func check(t *testing.T, f *Filter, m *mail.Message) (code string) {
	t.Helper()
	facts, err := f.Check(context.Background(), &mail.Mail{Envelope: &mail.Envelope{Time: time.Now()}, Message: m})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range facts.Findings {
		if x.Text == "" || len(x.Proof) == 0 || x.Proof[0].What == "" || x.Proof[0].Where == "" {
			t.Errorf("%s has no text or proof: %+v", x.Code, x)
		}
		code = x.Code
	}
	if len(facts.Findings) > 1 {
		t.Errorf("%d findings", len(facts.Findings))
	}
	return code
}

func TestMailIsJudgedByWhatWasTaught(t *testing.T) {
	f := New(Config{MinSpam: 20, MinHam: 20}, fixed{m: fitted(t, school(1, 400))})
	for _, c := range []struct{ text, want string }{
		{"claim the million of the lottery and a bonus for cheap pills at the casino, winner of a refund", "bayes.spam-"},
		{"the agenda of the meeting is in the draft of the report that a colleague was to review for the project", "bayes.ham-"},
	} {
		if got := check(t, f, message("news", c.text)); !strings.HasPrefix(got, c.want) {
			t.Errorf("%q is %q, want %s…", c.text, got, c.want)
		}
	}
	if got := check(t, f, message("x", "zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich")); got != "" && got != "bayes.ham-80" && got != "bayes.spam-80" {
		t.Errorf("words that were never taught are %s", got)
	}
}

func TestEvidenceShowsTheWordsThatDecided(t *testing.T) {
	f := New(Config{MinSpam: 20, MinHam: 20}, fixed{m: fitted(t, school(1, 400))})
	facts, err := f.Check(context.Background(), &mail.Mail{Envelope: &mail.Envelope{}, Message: message("news", "Casino LOTTERY million prize pills winner refund claim")})
	if err != nil || len(facts.Findings) != 1 {
		t.Fatal(facts, err)
	}
	shown := fmt.Sprint(facts.Findings[0].Proof)
	if !strings.Contains(shown, "lottery") && !strings.Contains(shown, "casino") && !strings.Contains(shown, "prize") {
		t.Errorf("evidence is %s", shown)
	}
}

func TestNothingIsSaidBeforeEnoughOfBothKindsWasTaught(t *testing.T) {
	m := fitted(t, school(1, 200))
	spam := message("news", "claim the million of the lottery and a bonus for cheap pills at the casino, winner")
	for _, c := range []struct {
		config Config
		speaks bool
	}{{Config{MinSpam: 100, MinHam: 100}, true}, {Config{MinSpam: 101, MinHam: 100}, false}, {Config{MinSpam: 100, MinHam: 101}, false}} {
		if got := check(t, New(c.config, fixed{m: m}), spam); (got != "") != c.speaks {
			t.Errorf("with %+v it says %q", c.config, got)
		}
	}
	if got := check(t, New(Config{}, nil), spam); got != "" {
		t.Errorf("without a model it says %q", got)
	}
}

func TestAModelOfNoLessonsCostsNothing(t *testing.T) {
	f := New(Config{MinSpam: 200, MinHam: 200}, fixed{m: fitted(t, nil)})
	m := &mail.Mail{Envelope: &mail.Envelope{}, Message: message("news", "claim the million of the lottery")}
	if n := testing.AllocsPerRun(10, func() {
		if facts, err := f.Check(context.Background(), m); err != nil || len(facts.Findings) > 0 {
			t.Errorf("%+v, %v", facts, err)
		}
	}); n > 0 {
		t.Errorf("it collects the tokens of a message of which it can say nothing: %.0f allocations", n)
	}
}

func TestAModelThatCannotBeHadIsAFailureAndNoOpinion(t *testing.T) {
	f := New(Config{}, fixed{err: ErrModel})
	facts, err := f.Check(context.Background(), &mail.Mail{Envelope: &mail.Envelope{}, Message: message("a", "b")})
	if !errors.Is(err, ErrModel) || len(facts.Findings) > 0 {
		t.Errorf("%v, %v", facts, err)
	}
}

func TestTheSameLessonsGiveTheSameModelInAnyOrder(t *testing.T) {
	lessons := school(1, 300)
	a := stored(t, fitted(t, lessons))
	slices.Reverse(lessons)
	if b := stored(t, fitted(t, lessons)); !bytes.Equal(a, b) {
		t.Error("another order gives another model")
	}
	extra := append(slices.Clone(lessons), Lesson{Spam: true, Tokens: lessons[1].Tokens})
	if c := stored(t, fitted(t, extra)); bytes.Equal(a, c) {
		t.Error("a further lesson changes nothing")
	}
	if d := stored(t, fitted(t, extra[:len(lessons)])); !bytes.Equal(a, d) {
		t.Error("taking the lesson back does not restore the model")
	}
}

func TestWhatOnlyOneMessageSaysIsNotLearnt(t *testing.T) {
	lessons := school(1, 200)
	odd, _ := Unpack(Pack(Seed(1).Tokens(message("qwertz", "asdfgh yxcvbn"))))
	m := fitted(t, append(lessons, Lesson{Spam: true, Tokens: odd}))
	known := fitted(t, lessons)
	for _, v := range odd {
		if m.weight(v) != 0 && known.weight(v) == 0 {
			t.Errorf("a token of one message alone has weight %v", m.weight(v))
		}
	}
}

// One teacher's wrong lessons among many right ones must not turn the verdict.
func TestAFewWrongLessonsDoNotTurnTheModel(t *testing.T) {
	lessons := school(1, 400)
	for i := range 12 {
		lessons[2*i].Spam = false
	}
	f := New(Config{MinSpam: 20, MinHam: 20}, fixed{m: fitted(t, lessons)})
	spam := message("news", "claim the million of the lottery and a bonus for cheap pills at the casino, winner of a refund")
	if got := check(t, f, spam); !strings.HasPrefix(got, "bayes.spam-") {
		t.Errorf("after 12 of 200 spam were taught as ham, spam is %q", got)
	}
}

func stored(t testing.TB, m *Model) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := m.Write(&b, 5); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestAStoredModelIsReadBackOrRefused(t *testing.T) {
	m := fitted(t, school(1, 200))
	b := stored(t, m)
	back, generation, err := ReadModel(b)
	if err != nil || generation != 5 {
		t.Fatal(generation, err)
	}
	for _, l := range school(1, 20) {
		if p, q := m.Probability(l.Tokens), back.Probability(l.Tokens); p != q || math.IsNaN(p) {
			t.Errorf("%v became %v", p, q)
		}
	}
	for i := 0; i < len(b); i += 7 {
		bad := slices.Clone(b)
		bad[i] ^= 0x10
		if _, _, err := ReadModel(bad); !errors.Is(err, ErrModel) {
			t.Fatalf("byte %d altered: %v", i, err)
		}
		if _, _, err := ReadModel(b[:i]); !errors.Is(err, ErrModel) {
			t.Fatalf("cut to %d: %v", i, err)
		}
	}
}

func TestEveryCodeIsDocumentedInBothLanguages(t *testing.T) {
	known := map[string]bool{}
	for _, c := range Codes() {
		if c.Meaning == "" || c.Chinese == "" || known[c.Name] {
			t.Errorf("%s is documented badly or twice", c.Name)
		}
		known[c.Name] = true
	}
	for _, b := range bands {
		if !known[b.code] {
			t.Errorf("%s is not documented", b.code)
		}
	}
}

// page is an HTML message.
func page(domain, text string, images int) *mail.Message {
	return mail.Parse(mail.Memory("From: News <news@" + domain + ">\r\nTo: b@b.example\r\nSubject: news\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" +
		"<html><body bgcolor=#ffffff><table width=600><tr><td><font size=2 face=arial>" + text + "</font>" +
		strings.Repeat("<img src=https://"+domain+"/a.png width=1 height=1><br>", 1+images) + "</td></tr></table></body></html>\r\n"))
}

// Two sources that can be told apart by their form alone teach nothing of a third: its form is not its fault.
func TestHowAMessageIsBuiltCondemnsNoStranger(t *testing.T) {
	images := 0
	m := fitted(t, lessons(1, 400, func(spam bool, text string) *mail.Message {
		if !spam {
			return message("news", text)
		}
		images++
		return page("n.example", text, images%5)
	}))
	if m.slope > 1 {
		t.Errorf("slope %v", m.slope)
	}
	stranger := page("museum.example.org", "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich, und das Museum öffnet am Sonntag seine Türen für alle Kinder der Stadt", 1)
	if p := m.Probability(Seed(1).Tokens(stranger)); p > 0.99 {
		t.Errorf("a page whose words nobody taught is spam with %.3f", p)
	}
	if p := m.Probability(Seed(1).Tokens(page("n.example", "winner prize casino cheap pills bonus claim lottery million refund of the prize", 1))); p < 0.99 {
		t.Errorf("a page as taught is spam with %.3f", p)
	}
}

// What was written is learnt too, down to how a word is misspelt; addresses are not, nor which number is named.
func TestRunsKnowTheHandAndNoAddress(t *testing.T) {
	seed := Seed(1)
	words := map[uint32]*word{}
	one := message("x", "call b-o-b@site.example today, 12345")
	for _, v := range seed.Tokens(one) {
		if v&groupBits == ofSource {
			words[v] = &word{}
		}
	}
	var r reader
	r.words(seed, one, words)
	all := ""
	for _, w := range words {
		all += w.text + "|"
	}
	if !strings.Contains(all, "today") || !strings.Contains(all, "00000") || strings.Contains(all, "site") || strings.Contains(all, "1") {
		t.Errorf("%s", all)
	}
	l := Lesson{Tokens: seed.Tokens(one)}
	n := len(l.Tokens)
	if l.Lean(); len(l.Tokens) != n-len(words) {
		t.Errorf("%d of %d tokens are left, %d of the source", len(l.Tokens), n, len(words))
	}
}
