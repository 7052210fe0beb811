//go:build !race

package rules

import (
	"context"
	"strings"
	"testing"
)

// Under the race detector a pool forgets some of what it is given, on purpose, and nothing could be said of this.
// Matching allocates what the result needs and nothing else.
func TestMatchingAllocatesLittle(t *testing.T) {
	s := shippedSet(t)
	texts := []Text{{"subject", "An ordinary subject"}, {"body", strings.Repeat("An ordinary letter about nothing that a rule looks for. ", 500)}}
	s.Match(context.Background(), texts)
	if n := testing.AllocsPerRun(20, func() { s.Match(context.Background(), texts) }); n > 1 {
		t.Errorf("%.0f allocations", n)
	}
}
