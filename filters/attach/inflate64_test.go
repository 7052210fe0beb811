package attach

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gatepost/test/harness"
)

// deflate64 packs data in one block of its own fixed codes: octets, and every repetition of what stands so far back as one match.
func deflate64(data []byte, back int) []byte {
	w := &lowBits{}
	w.put(1, 1) // the last block
	w.put(1, 2) // fixed codes
	code := func(symbol int) {
		switch {
		case symbol < 144:
			w.high(0x30+symbol, 8)
		case symbol < 256:
			w.high(0x190+symbol-144, 9)
		case symbol < 280:
			w.high(symbol-256, 7)
		default:
			w.high(0xc0+symbol-280, 8)
		}
	}
	for i := 0; i < len(data); {
		n := 0
		for i >= back && n < 65_538 && i+n < len(data) && data[i+n] == data[i+n-back] {
			n++
		}
		if n < 3 {
			code(int(data[i]))
			i++
			continue
		}
		code(285)
		w.put(n-3, 16)
		slot := 31 // the largest whose distances begin at or before back
		for slot > 3 && (2+slot&1)<<(slot/2-1)+1 > back {
			slot--
		}
		if slot <= 3 {
			w.high(back-1, 5)
		} else {
			w.high(slot, 5)
			w.put(back-1-(2+slot&1)<<(slot/2-1), slot/2-1)
		}
		i += n
	}
	code(256)
	return w.b
}

// lowBits writes bits, the lowest of an octet first.
type lowBits struct {
	b []byte
	n int
}

func (w *lowBits) put(v, bits int) {
	for i := range bits {
		if w.n%8 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[len(w.b)-1] |= byte(v>>i&1) << (w.n % 8)
		w.n++
	}
}

// high writes a code, its highest bit first.
func (w *lowBits) high(v, bits int) {
	for i := bits - 1; i >= 0; i-- {
		w.put(v>>i&1, 1)
	}
}

func TestDeflate64IsReadAsItWasPacked(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 65_536)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	for _, back := range []int{1, 2, 3, 4, 5, 64, 1000, 32_768, 32_769, 49_153, 65_535, 65_536} {
		data := append(slices.Clone(noise[:back]), bytes.Repeat(noise[:back], 2+200_000/back)...)
		data = append(data, "tail"...)
		got, err := io.ReadAll(newInflate64(bytes.NewReader(deflate64(data, back))))
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d back: %d octets of %d, %v", back, len(got), len(data), err)
		}
	}
}

// Without its last length, and as far back as it goes, Deflate is Deflate64.
func TestDeflateIsDeflate64WhereBothAreTheSame(t *testing.T) {
	var text bytes.Buffer
	for i := range 20_000 {
		fmt.Fprintf(&text, "line %d, whose square is %d\n", i, i*i)
	}
	for level := flate.HuffmanOnly; level <= flate.BestCompression; level++ {
		for name, data := range map[string][]byte{"nothing": nil, "an octet": {7}, "text": text.Bytes(), "EICAR": eicar} {
			var b bytes.Buffer
			w, err := flate.NewWriter(&b, level)
			if err != nil {
				t.Fatal(err)
			}
			w.Write(data)
			w.Close()
			got, err := io.ReadAll(newInflate64(&b))
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s at level %d: %d octets of %d, %v", name, level, len(got), len(data), err)
			}
		}
	}
}

func TestBrokenDeflate64IsNeverTakenForWhole(t *testing.T) {
	good := deflate64(longText(), 64)
	for n := range len(good) {
		if _, err := io.ReadAll(newInflate64(bytes.NewReader(good[:n]))); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut off after %d octets: %v", n, err)
		}
	}
	nothing := &lowBits{}
	nothing.put(1, 1)
	nothing.put(1, 2)
	nothing.high(1, 7) // three octets
	nothing.high(0, 5) // from the one before
	nothing.high(0, 7) // the end
	for name, s := range map[string]string{
		"a kind that is none": "\x07", "a stored block whose lengths differ": "\x01\x05\x00\x05\x00hello", "a stored block cut off": "\x01\x05\x00\xfa\xffhell", "a repetition of nothing": string(nothing.b),
		"a code of no symbols": "\x05\x00" + strings.Repeat("\x00", 20),
	} {
		if got, err := io.ReadAll(newInflate64(strings.NewReader(s))); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got, err := io.ReadAll(newInflate64(strings.NewReader("\x01\x05\x00\xfa\xffhello"))); err != nil || string(got) != "hello" {
		t.Errorf("a stored block: %q, %v", got, err)
	}
}

func FuzzInflate64(f *testing.F) {
	f.Add(deflate64(longText(), 64))
	for level := range 3 {
		var b bytes.Buffer
		w, _ := flate.NewWriter(&b, 3*level)
		w.Write(longText())
		w.Close()
		f.Add(b.Bytes())
	}
	buf := make([]byte, 64<<10)
	f.Fuzz(func(t *testing.T, b []byte) {
		z := newInflate64(bytes.NewReader(b))
		cost := harness.Allocated(func() {
			for range 16 { // of 64 KiB
				if _, err := z.Read(buf); err != nil {
					return
				}
			}
		})
		if cost > 256<<10 {
			t.Errorf("%d octets cost %d", len(b), cost)
		}
		// What Deflate reads, Deflate64 reads as well, or refuses, unless there is a length of 258.
		want, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(b)), 1<<20))
		if err != nil || len(want) == 1<<20 {
			return
		}
		got, err := io.ReadAll(io.LimitReader(newInflate64(bytes.NewReader(b)), 1<<20))
		if err == nil && !bytes.Equal(got, want) && len(got) <= len(want) && !bytes.HasPrefix(want, got) && len(want) < 258 {
			t.Errorf("%d octets, %d by Deflate", len(got), len(want))
		}
	})
}
