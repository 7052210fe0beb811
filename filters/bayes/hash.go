package bayes

import "unicode/utf8"

// Tokens are known by 32 bits of a hash that is keyed by the site: nobody outside can choose words that fall together
// with a token that speaks for ham, and what is stored of a message does not tell its words.

const (
	fnvPrime = 1099511628211
	mixer    = 0x9e3779b97f4a7c15
)

// start begins the hash of a token of one place.
func start(seed uint64, k place) uint64 { return finish(seed ^ uint64(k)*mixer) }

// fold adds the bytes of s, in lower case, its digits alike: which number a text names is rarely worth learning, and
// which year it names must not be.
func fold(h uint64, s string) uint64 {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			h = (h ^ uint64(folded[c])) * fnvPrime
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		h = (h ^ uint64(plain(r))) * fnvPrime
		i += n
	}
	return h
}

// join is the hash of two tokens, one after the other.
func join(a, b uint64) uint64 { return a*mixer*fnvPrime ^ b }

// finish spreads every bit of h over all others (the finalizer of MurmurHash3, as published).
func finish(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
