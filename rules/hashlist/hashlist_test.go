package hashlist

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// sample is a content that anybody can make again: lines of numbers.
func sample(lines int) []byte {
	var b bytes.Buffer
	for i := range lines {
		fmt.Fprintf(&b, "line %d of %d, whose square is %d\n", i, lines, i*i)
	}
	return b.Bytes()
}

func TestAContentIsFoundByItsHashUntilTheEntryRunsOut(t *testing.T) {
	content := sample(3)
	sum := sha256.Sum256(content)
	l, err := Parse(strings.NewReader(fmt.Sprintf("# a list\n\n%x  Trojan.Sample until=2026-11-23 # seen by us\n%064x\n", sum, 7)))
	if err != nil || l.Len() != 2 {
		t.Fatalf("%v, %d entries", err, l.Len())
	}
	for day, want := range map[int]bool{22: true, 23: true, 24: false} {
		m, ok := l.Find(sum, content, time.Date(2026, 11, day, 12, 0, 0, 0, time.UTC))
		if ok != want || ok && m.String() != "Trojan.Sample" {
			t.Errorf("day %d: %v, %v", day, m, ok)
		}
	}
	if _, ok := l.Find(sha256.Sum256(nil), nil, time.Now()); ok {
		t.Error("another content is found")
	}
}

func TestAContentThatWasChangedALittleIsFoundByItsLikeness(t *testing.T) {
	content := sample(1000)
	l, err := Parse(strings.NewReader(FuzzyOf(content).String() + " Loader\n"))
	if err != nil {
		t.Fatal(err)
	}
	changed := append([]byte("something new at the beginning\n"), content...)
	copy(changed[20_000:], "and in the middle")
	if m, ok := l.Find(sha256.Sum256(changed), changed, time.Now()); !ok || m.Name != "Loader" || m.Alike < MinAlike || m.Alike == 100 {
		t.Errorf("%v, %v", m, ok)
	}
	other := make([]byte, len(content))
	for i, r := 0, rand.New(rand.NewPCG(1, 2)); i < len(other); i++ {
		other[i] = byte(r.Uint32())
	}
	if m, ok := l.Find(sha256.Sum256(other), other, time.Now()); ok {
		t.Errorf("something else is alike: %v", m)
	}
}

// What ssdeep 2.14 says of the same contents.
func TestFuzzyHashesAreThoseOfSsdeep(t *testing.T) {
	for lines, want := range ssdeep() {
		if got := FuzzyOf(sample(lines)).String(); got != want {
			t.Errorf("%d lines: %s, want %s", lines, got, want)
		}
	}
}

// ssdeep is by the number of lines of sample.
func ssdeep() map[int]string {
	return map[int]string{
		10:   "6:IAIuJo0kCo5sJoIotiomqVJonGoN6aJoWozCdoS:SGoLCoGoIoYoFVJonGo3JoWoWdoS",
		100:  "24:S3drxfjvy51Mh9QRBFt3AS+koMp8ZtJCQyLDU0iP2KM+1IQPwek4/A43BzMI7pB5:A6vOlbKUTuJ4h5TqlYUd3ewupxxU0Zwe",
		1000: "384:GElPsISjvicARfL8YFqcrn+5mrpxxGQZrp8ArNwiW6:GwLSjvicARfL8YFqc7+YxxGQZrKArWiH",
		5000: "6144:CwzQU1rXo8hmzSL3aBnaY8nkD/876PXExTuSYzwdsYmXgYNHEHShZJurF3LVud/m:vzQU1rXo8hmzSL3aBnaY8nkD/876PXEx",
	}
}

func TestWhatIsNoEntryIsAnError(t *testing.T) {
	for _, text := range []string{"abc", strings.Repeat("z", 64), strings.Repeat("a", 64) + " until=tomorrow", "3::", "x:AA:BB", "3:" + strings.Repeat("A", 65) + ":B"} {
		if _, err := Parse(strings.NewReader(text)); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

func FuzzList(f *testing.F) {
	f.Add(strings.Repeat("0", 64)+" name until=2026-01-01\n3:AAAAAAAA:BBBB x\n", []byte("content"))
	f.Fuzz(func(t *testing.T, text string, content []byte) {
		h := FuzzyOf(content)
		if g, ok := ParseFuzzy(h.String()); len(content) > 0 && h.Single != "" && (!ok || g != h) {
			t.Errorf("%s is not read back", h)
		}
		if l, err := Parse(strings.NewReader(text)); err == nil {
			l.Find(sha256.Sum256(content), content, time.Now())
		}
	})
}

func BenchmarkFuzzy(b *testing.B) {
	content := sample(20_000)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		FuzzyOf(content)
	}
}
