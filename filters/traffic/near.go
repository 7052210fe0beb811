package traffic

import (
	"math"
	"math/bits"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bodies are compared by the least hashes of their shingles (Broder, "On the resemblance and containment of documents", 1997): two
// bodies have the same least hash under one of many orders as likely as the share of shingles that they have in common. Minima go by
// bands, so that memory is asked for a few keys and not compared with all that it holds.
const (
	minima      = 12
	bands       = 4
	perBand     = minima / bands
	agreeing    = 2    // bands that bodies near each other have in common, at least
	minShingles = 30   // a shorter text says the same as another by chance
	maxShingles = 4000 // how much of a text is read
)

// A Key keys the hashes of what is seen, so that nobody outside can aim at what is counted, and what is stored tells no words. All
// gateways of a site have the same.
type Key [2]uint64

// mix is a hash of two numbers: the folded product of both under the key.
func (k *Key) mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^k[0], b^k[1])
	return spread(hi ^ lo)
}

// spread spreads every bit of h over all others (the finalizer of MurmurHash3, as published).
func spread(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// The prime of FNV-1a, and a number without pattern.
const (
	prime  = 1099511628211
	golden = 0x9e3779b97f4a7c15
)

// text is the hash of texts, one after the other.
func (k *Key) text(texts ...string) uint64 {
	h := k[0]
	for _, s := range texts {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * prime
		}
		h = k.mix(h, uint64(len(s)))
	}
	return h
}

// A sketch is what is kept of a body while it is read.
type sketch struct {
	key    *Key
	salts  [minima]uint64
	least  [minima]uint64
	last   [2]uint64 // hashes of the two words before
	words  int
	number int // of shingles
}

// sketchOf reads what of a text its author wrote: not the lines that it quotes.
func (k *Key) sketchOf(text string) *sketch {
	s := &sketch{key: k}
	for i := range s.least {
		s.least[i], s.salts[i] = math.MaxUint64, k.mix(uint64(i), golden)
	}
	for len(text) > 0 && s.number < maxShingles {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		if !strings.HasPrefix(line, ">") {
			s.line(line)
		}
	}
	return s
}

// line reads the words of a line: in lower case, their digits alike, without what nobody sees. Each character of a script that is
// written without spaces is a word.
func (s *sketch) line(line string) {
	h, n := s.key[0], 0
	digit := false
	end := func() {
		if n > 0 {
			s.word(h)
		}
		h, n, digit = s.key[0], 0, false
	}
	for i := 0; i < len(line) && s.number < maxShingles; {
		r, size := rune(line[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(line[i:])
		}
		i += size
		switch {
		case r >= '0' && r <= '9' || r >= utf8.RuneSelf && unicode.IsDigit(r):
			if digit {
				continue
			}
			r, digit = '0', true
		case r >= utf8.RuneSelf && unicode.Is(unicode.Cf, r):
			continue
		case r >= utf8.RuneSelf && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai):
			end()
			h, n = (s.key[0]^uint64(r))*prime, 1
			end()
			continue
		case r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z':
			r, digit = r|0x20, false
		case r >= utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsMark(r)):
			r, digit = unicode.ToLower(r), false
		default:
			end()
			continue
		}
		h, n = (h^uint64(r))*prime, n+1
	}
	end()
}

// word adds a word, and with it the shingle that it ends.
func (s *sketch) word(h uint64) {
	if s.words++; s.words > 2 {
		s.number++
		shingle := s.key.mix(s.key.mix(s.last[0], s.last[1]), h)
		for i, salt := range s.salts {
			s.least[i] = min(s.least[i], spread(shingle^salt))
		}
	}
	s.last[0], s.last[1] = s.last[1], h
}

// bands are what the body is remembered by; none if it is too short.
func (s *sketch) bands() []string {
	if s.number < minShingles {
		return nil
	}
	list := make([]string, bands)
	for b := range list {
		h := uint64(b)
		for _, v := range s.least[b*perBand : (b+1)*perBand] {
			h = s.key.mix(h, v)
		}
		list[b] = "traffic body " + strconv.FormatUint(h, 16)
	}
	return list
}
