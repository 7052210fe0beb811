//go:build failpoints

package failpoint

import (
	"errors"
	"syscall"
	"testing"
)

func TestARuleActsAtItsTurnsOnly(t *testing.T) {
	t.Setenv(Variable, "FP-06=err(ENOSPC)@2-3; FP-07=sleep(1ns)")
	var got []bool
	for range 4 {
		err := Hit(BeforeSync)
		got = append(got, errors.Is(err, syscall.ENOSPC))
	}
	if got[0] || !got[1] || !got[2] || got[3] || Hit(BetweenSyncs) != nil || Hit(AtRecord) != nil {
		t.Errorf("%v", got)
	}
}

func TestARuleThatCannotBeReadIsAnError(t *testing.T) {
	for _, text := range []string{"FP-06", "FP-06=err(EIO)@x", "FP-06=kill9@1-"} {
		if _, err := parse(text); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}
