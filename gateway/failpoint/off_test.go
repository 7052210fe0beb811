//go:build !failpoints

package failpoint

import "testing"

func TestWithoutTheTagNothingHappens(t *testing.T) {
	t.Setenv("GATEPOST_FAILPOINTS", "FP-06=panic")
	for _, p := range Points() {
		if err := Hit(p); err != nil || Enabled {
			t.Errorf("%s: %v", p, err)
		}
	}
	if n := testing.AllocsPerRun(100, func() { _ = Hit(BeforeSync) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
