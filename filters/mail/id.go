package mail

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"time"
)

// idEncoding is Crockford's alphabet in lower case: no i, l, o, u, so that an id survives being read aloud.
var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewID makes an id of 26 lower-case letters and digits. Ids of different milliseconds sort by time; 80 random bits
// make them unique and impossible to guess.
func NewID(t time.Time) string {
	// 130 bits of text hold 128 bits of value: two zero bits lead, as in a ULID, so that the text sorts as the value.
	var b [17]byte
	binary.BigEndian.PutUint64(b[1:9], uint64(t.UnixMilli())<<16)
	rand.Read(b[7:])
	var out [28]byte
	shift(b[:])
	idEncoding.Encode(out[:], b[:])
	return string(out[:26])
}

// shift moves b to the left by six bits, so that its first five-bit group holds the top three bits of the value.
func shift(b []byte) {
	for i := range b {
		b[i] <<= 6
		if i+1 < len(b) {
			b[i] |= b[i+1] >> 2
		}
	}
}
