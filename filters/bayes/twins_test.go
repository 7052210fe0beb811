package bayes

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// prose is n invented words.
func prose(seed uint64, n int) []string {
	dice := rand.New(rand.NewPCG(seed, 1))
	words := make([]string, n)
	for i := range words {
		for range 3 + dice.IntN(6) {
			words[i] += string(rune('a' + dice.IntN(26)))
		}
	}
	return words
}

// taughtOnce is a model of single lessons, far fewer than it takes to say how likely anything is.
func taughtOnce(t *testing.T, spam, ham []string) *Filter {
	t.Helper()
	var lessons []Lesson
	for _, s := range spam {
		lessons = append(lessons, lessonOf(t, true, s))
	}
	for _, s := range ham {
		lessons = append(lessons, lessonOf(t, false, s))
	}
	m := fitted(t, lessons)
	back, _, err := ReadModel(stored(t, m)) // as it is after a restart
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(back.twins, m.twins) {
		t.Fatal("a stored model has other twins")
	}
	return New(Config{MinSpam: 200, MinHam: 200}, fixed{m: back})
}

func lessonOf(t *testing.T, spam bool, text string) Lesson {
	t.Helper()
	tokens, err := Unpack(Pack(Seed(1).Tokens(message("news", text))))
	if err != nil {
		t.Fatal(err)
	}
	return Lesson{Spam: spam, Tokens: tokens}
}

// One message that was taught is enough to know its copies, whatever they change of it here and there, and nothing else.
func TestCopiesOfOneTaughtMessageAreKnown(t *testing.T) {
	spam, ham, other := prose(1, 120), prose(2, 120), prose(3, 120)
	changed := func(words []string, every int) string {
		out := slices.Clone(words)
		for i := every - 1; i < len(out); i += every {
			out[i] = fmt.Sprint("other", i)
		}
		return strings.Join(out, " ")
	}
	f := taughtOnce(t, []string{strings.Join(spam, " ")}, []string{strings.Join(ham, " ")})
	for _, c := range []struct{ name, text, want string }{
		{"the same", strings.Join(spam, " "), "bayes.twin-spam"},
		{"each twelfth word is another", changed(spam, 12), "bayes.twin-spam"},
		{"with a foot", strings.Join(spam, " ") + " " + strings.Join(other[:15], " "), "bayes.twin-spam"},
		{"in capitals", strings.ToUpper(strings.Join(spam, " ")), "bayes.twin-spam"},
		{"each second word is another", changed(spam, 2), ""},
		{"a quotation among other things", strings.Join(spam[:40], " ") + " " + strings.Join(other, " "), ""},
		{"another text", strings.Join(other, " "), ""},
		{"a copy of what is wanted", changed(ham, 12), "bayes.twin-ham"},
		{"too short", strings.Join(spam[:6], " "), ""},
	} {
		if got := check(t, f, message("news", c.text)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// What is like messages of both kinds is like neither: a list whose every mail ends alike, with spam among it.
func TestWhatIsLikeBothKindsIsNobodysTwin(t *testing.T) {
	foot := strings.Join(prose(4, 100), " ")
	f := taughtOnce(t, []string{"buy this " + foot}, []string{"hello friends " + foot})
	if got := check(t, f, message("news", "something else "+foot)); got != "" {
		t.Errorf("%q", got)
	}
}

// The estimate is near the share that it stands for.
func TestSketchesTellHowMuchIsShared(t *testing.T) {
	dice := rand.New(rand.NewPCG(9, 9))
	for _, share := range []float64{0, 0.3, 0.5, 0.8, 1} {
		sum := 0.0
		const n = 50
		for range n {
			var a, b []uint32
			for range 400 {
				v := dice.Uint32() &^ groupBits
				a = append(a, v)
				if dice.Float64() < 2*share/(1+share) { // of both together, share is common
					b = append(b, v)
				} else {
					b = append(b, dice.Uint32()&^groupBits)
				}
			}
			x, _ := sketchOf(a)
			y, _ := sketchOf(b)
			sum += x.likeness(&y)
		}
		if got := sum / n; got < share-0.04 || got > share+0.04 {
			t.Errorf("%.2f is estimated as %.2f", share, got)
		}
	}
}

// BenchmarkTwins holds one message beside ten thousand lessons.
func BenchmarkTwins(b *testing.B) {
	m := &Model{}
	for i := range 10_000 {
		s, _ := sketchOf(Seed(1).Tokens(message("news", strings.Join(prose(uint64(i), 120), " "))))
		m.twins = append(m.twins, twin{i%2 == 0, s})
	}
	tokens := Seed(1).Tokens(message("news", strings.Join(prose(77, 120), " ")))
	b.ReportAllocs()
	for b.Loop() {
		m.near(tokens)
	}
}
