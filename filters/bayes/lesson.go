package bayes

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// A Kind is what a message was taught to be.
type Kind string

// The kinds.
const (
	Spam Kind = "spam" // whatever nobody wants: spam, phishing, fraud
	Ham  Kind = "ham"  // wanted mail
)

// A Lesson is one taught message: its kind, and its tokens in ascending order.
type Lesson struct {
	Spam   bool
	Tokens []uint32
}

// Lean removes the runs of the source, which are most of the tokens of a lesson, from its Tokens: where there are many
// lessons, the older ones tell enough by their words.
func (l *Lesson) Lean() {
	l.Tokens = slices.Clip(slices.DeleteFunc(l.Tokens, func(v uint32) bool { return v&groupBits == ofSource }))
}

// ErrLesson is returned for stored tokens that are damaged.
var ErrLesson = errors.New("damaged lesson")

// Pack writes tokens in the form in which lessons are stored: sorted, as differences (about three bytes a token).
func Pack(tokens []uint32) []byte {
	sorted := slices.Clone(tokens)
	slices.Sort(sorted)
	b := make([]byte, 0, 3*len(sorted)+8)
	var last uint32
	for _, v := range slices.Compact(sorted) {
		b = binary.AppendUvarint(b, uint64(v-last))
		last = v
	}
	return b
}

// Unpack reads what Pack wrote; tokens ascend strictly and are at most as many as one message has.
func Unpack(b []byte) ([]uint32, error) {
	tokens := make([]uint32, 0, min(len(b), maxTokens))
	var last uint64
	for len(b) > 0 {
		d, n := binary.Uvarint(b)
		if n <= 0 || d > 1<<32-1 || d == 0 && len(tokens) > 0 {
			return nil, fmt.Errorf("%w: token %d", ErrLesson, len(tokens))
		}
		last += d
		if last > 1<<32-1 || len(tokens) == maxTokens {
			return nil, fmt.Errorf("%w: token %d", ErrLesson, len(tokens))
		}
		tokens = append(tokens, uint32(last))
		b = b[n:]
	}
	return tokens, nil
}
