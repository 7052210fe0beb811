package rules

import "math"

// The letters of a folded text by kind: a to z, a blank, a digit, another sign of ASCII, a letter beyond ASCII.
const (
	kindBlank = 26 + iota
	kindDigit
	kindSign
	kindFar
	kinds
)

// habits says how rare a letter is behind another one in mail, by their kinds: '0' is always, each step half as often as
// two before. The first row is for the first letter of a text. Counted over wanted and unwanted mail; it only guides the
// choice of what is looked for.
const habits = "" +
	"9daa7ccb9ieab98bi998aedgdi6a7g" + // a letter's place among all letters
	"hb99ifbg9jc795jbk786cbgfbj8fcj" + // behind a
	"8efe4hhh9cj6eg7hja9f6ggf9i9a9j" + // behind b
	"7hcg6ii6ak89fh4fi9e7aijiejac9j" + // behind c
	"9eca5ifi7jheee8fkaafbefjdl3d7i" + // behind d
	"9fa8bdeidmiab7gdf679hcdcfk4f8m" + // behind e
	"9ggi78ik6jkcgb5ck7eaajhkel5cbh" + // behind f
	"8fgh5id88kkcd9aci8bfahjkfk4d8j" + // behind g
	"5ika3jkl6llhff7glch8diilfe7gbk" + // behind h
	"bc8aabbjjje8a48cib67ibngnd9hci" + // behind i
	"7cdd5eedaecdcc6cdecc4eedcdd9bh" + // behind j
	"acgh4geg7hhdhabfie7dbhgjeh4b6i" + // behind k
	"8gha5fjj5le7ei7fmhaabgil8l6g9j" + // behind l
	"5bhf5jfe8kkdbj88lhbfbiikbk5f7i" + // behind m
	"ah967c6jakcdgc8hli87bekkck5e9i" + // behind n
	"ddacf9diejea75bbn6a96cahil6iao" + // behind o
	"7gdd7icbakh7cj79k699aikibj8d6k" + // behind p
	"dfcecfddcdecdecd8ddb2ddede987i" + // behind q
	"7hcb5dci8lcecc7amb89cehdbl5g9i" + // behind r
	"ahbf6hjb8mgfgg9bka969lgnem4g6k" + // behind s
	"9jfh6jl57mmefj7coaa9akefdj5h8i" + // behind t
	"babc9ebablg8a7h9m647ajjdgj8gcj" + // behind u
	"7ffd2fhg5ijggh9hhgfffiiifhdbbi" + // behind v
	"6iih6ig75jifha7hjaaihi8ihj7d8j" + // behind w
	"9fad9edf8fgecfe8fef8fff9eg565j" + // behind x
	"cefhajijcklgdc4cjb9bhifhih2d7k" + // behind y
	"7cca4ecc7deccbaeeecbaebcda798h" + // behind z
	"7a9ab9ca8ffbab9aha86be9ibjza7g" + // behind a blank
	"eeeeeefghhhgfhhghggfggidhh624l" + // behind a digit
	"deadceeedkicdeedkcbcbgehjk383k" + // behind another sign of ASCII
	"cfdcceffdkiddbbfjaaafehiij5ea2" // behind a letter beyond it

func kindOf(r rune) int {
	switch {
	case r >= 'a' && r <= 'z':
		return int(r - 'a')
	case r == ' ':
		return kindBlank
	case r >= '0' && r <= '9':
		return kindDigit
	case r < 0x80:
		return kindSign
	}
	return kindFar
}

// often is about how often a folded text stands at a place of ordinary mail, from 0 to 1.
func often(text string) float64 {
	halves := 0
	row, last := 0, rune(-1)
	for _, r := range text {
		k := kindOf(r)
		step := int(habits[row*kinds+k])
		if step -= '0'; step > 9 {
			step -= 'a' - '0' - 10
		}
		halves += step
		switch {
		case r == last:
		case k == kindDigit: // one of ten
			halves += 7
		case k == kindSign: // one of some
			halves += 6
		case k == kindFar: // one of many
			halves += 16
		}
		row, last = k+1, r
	}
	share := 1 / float64(uint64(1)<<min(halves/2, 60))
	if halves%2 == 1 {
		share /= math.Sqrt2
	}
	return share
}
