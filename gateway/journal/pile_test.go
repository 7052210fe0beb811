package journal

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// What is put on a pile comes down in the same order, however it falls into blocks, and after a clear nothing of it is left.
func TestAPileHoldsWhatWasPutOnIt(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var p pile
	for round := range 20 {
		var want []byte
		for range r.IntN(40) {
			b := bytes.Repeat([]byte{byte(r.IntN(256))}, r.IntN(blockSize/8))
			if r.IntN(20) == 0 {
				b = bytes.Repeat([]byte{'l'}, 3*blockSize) // longer than blocks are
			}
			want = append(want, b...)
			p.add(b)
		}
		if got := bytes.Join(p.blocks, nil); p.size != len(want) || !bytes.Equal(got, want) {
			t.Fatalf("round %d: %d octets of %d, or others", round, p.size, len(want))
		}
		used := len(p.blocks)
		p.clear()
		if p.size != 0 || len(p.blocks) != 0 || len(p.free) != used {
			t.Fatalf("round %d: %d octets, %d blocks, %d of %d kept", round, p.size, len(p.blocks), len(p.free), used)
		}
	}
}

func TestAPileThatWasUsedOnceGrowsWithoutNewMemory(t *testing.T) {
	var p pile
	line := bytes.Repeat([]byte{'x'}, 5000)
	fill := func() {
		for range 1000 {
			p.add(line)
		}
		p.clear()
	}
	fill()
	if n := testing.AllocsPerRun(10, fill); n > 0 {
		t.Errorf("%.0f allocations", n)
	}
}
