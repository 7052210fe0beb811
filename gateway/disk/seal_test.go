package disk

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

const (
	oldKey = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	newKey = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfefff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
)

func keys(t testing.TB, text string) *Keys {
	t.Helper()
	k, err := ParseKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sealed(t testing.TB, k *Keys, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	err := k.Seal(&b, func(w io.Writer) error {
		_, err := io.Copy(struct{ io.Writer }{w}, bytes.NewReader(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func unsealed(k *Keys, b []byte) ([]byte, error) {
	r, err := k.Unseal(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func TestWhatIsSealedComesBackAndOnlyWithItsKey(t *testing.T) {
	first := keys(t, "# of the year before\n"+oldKey+"\n")
	both := keys(t, newKey+"\n\n"+oldKey)
	other := keys(t, newKey)
	for _, n := range []int{0, 1, sealPiece - 1, sealPiece, sealPiece + 1, 3 * sealPiece} {
		content := bytes.Repeat([]byte("x"), n)
		b := sealed(t, first, content)
		if bytes.Contains(b, []byte("xxxx")) || len(b) > n+sealHead+16*(n/sealPiece+1) {
			t.Errorf("%d bytes: %d sealed, or legible", n, len(b))
		}
		for _, k := range []*Keys{first, both} {
			if got, err := unsealed(k, b); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes: %d came back, %v", n, len(got), err)
			}
		}
		for _, k := range []*Keys{nil, other} {
			if _, err := unsealed(k, b); !errors.Is(err, ErrNoKey) {
				t.Errorf("%d bytes without the key: %v", n, err)
			}
		}
		if bytes.Equal(b, sealed(t, first, content)) {
			t.Error("the same content is sealed to the same bytes")
		}
	}
}

func TestEveryAlterationBreaksTheSeal(t *testing.T) { // P-03, P-08
	k := keys(t, oldKey)
	content := bytes.Repeat([]byte("0123456789abcdef"), sealPiece/16+100)
	b := sealed(t, k, content)
	for at := 0; at < len(b); at += 1 + at/50 {
		c := bytes.Clone(b)
		c[at] ^= 1
		if got, err := unsealed(k, c); err == nil && bytes.Equal(got, content) {
			t.Fatalf("byte %d was altered unseen", at)
		} else if at >= len(sealMagic) && err == nil {
			t.Fatalf("byte %d: no error", at)
		}
	}
	for _, cut := range []int{1, 16, 1600, len(b) - sealHead - sealPiece - 16, len(b) - sealHead} {
		if _, err := unsealed(k, b[:len(b)-cut]); !errors.Is(err, ErrSeal) {
			t.Errorf("%d bytes short: %v", cut, err)
		}
	}
	one := sealHead + sealPiece + 16
	if _, err := unsealed(k, append(bytes.Clone(b[:one]), b[sealHead:]...)); !errors.Is(err, ErrSeal) {
		t.Errorf("a piece doubled: %v", err)
	}
	if _, err := unsealed(k, append(bytes.Clone(b), 0)); !errors.Is(err, ErrSeal) {
		t.Errorf("a byte more: %v", err)
	}
}

func TestWithoutAKeyNothingIsSealedAndPlainFilesStayLegible(t *testing.T) {
	if k := keys(t, "\n# none\n"); k != nil {
		t.Error("a key out of nothing")
	}
	plain := []byte("plain")
	if b := sealed(t, nil, plain); !bytes.Equal(b, plain) {
		t.Errorf("%q", b)
	}
	for _, k := range []*Keys{nil, keys(t, oldKey)} {
		if got, err := unsealed(k, plain); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%q, %v", got, err)
		}
	}
	for _, text := range []string{"abc", oldKey + "00", strings.Repeat("g", 64)} {
		if _, err := ParseKeys(text); err == nil || strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzUnseal(f *testing.F) {
	k, err := ParseKeys(oldKey)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed(f, k, []byte("content")))
	f.Add([]byte(sealMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := unsealed(k, b)
		if len(got) > len(b) {
			t.Errorf("%d bytes out of %d", len(got), len(b))
		}
		if err == nil && bytes.HasPrefix(b, []byte(sealMagic)) && string(got) != "content" {
			t.Errorf("%q was never sealed", got)
		}
	})
}

func TestWhatIsSealedIsReadAtAnyPlace(t *testing.T) {
	k := keys(t, oldKey)
	for _, n := range []int{0, 1, sealPiece - 1, sealPiece, sealPiece + 1, 2*sealPiece + 7, 3 * sealPiece} {
		content := make([]byte, n)
		for i := range content {
			content[i] = byte(i ^ i>>8 ^ i>>16)
		}
		b := sealed(t, k, content)
		if int64(len(b)) != SealedSize(int64(n)) {
			t.Errorf("%d bytes: %d sealed, said %d", n, len(b), SealedSize(int64(n)))
		}
		s, err := k.UnsealAt(bytes.NewReader(b), int64(n))
		if err != nil || s.Size() != int64(n) {
			t.Fatal(err)
		}
		for _, at := range []int{0, n / 2, n - 1, sealPiece - 1, sealPiece, n} {
			for _, size := range []int{0, 1, 100, sealPiece, 3 * sealPiece} {
				if at < 0 || at > n {
					continue
				}
				p := make([]byte, size)
				got, err := s.ReadAt(p, int64(at))
				want := content[at:min(n, at+size)]
				if !bytes.Equal(p[:got], want) || (got < size) != (err == io.EOF) && at < n {
					t.Errorf("%d of %d bytes at %d: %d, %v", size, n, at, got, err)
				}
			}
		}
	}
}

func TestASealThatIsBrokenAnywhereIsSeenAtAnyPlace(t *testing.T) {
	k := keys(t, oldKey)
	content := bytes.Repeat([]byte("x"), sealPiece+10)
	b := sealed(t, k, content)
	read := func(b []byte) error {
		s, err := k.UnsealAt(bytes.NewReader(b), int64(len(content)))
		if err == nil {
			_, err = io.ReadAll(io.NewSectionReader(s, 0, s.Size()))
		}
		return err
	}
	for _, at := range []int{0, len(sealMagic), sealHead - 1, sealHead, sealHead + sealPiece + 20, len(b) - 1} {
		bad := bytes.Clone(b)
		bad[at] ^= 1
		if err := read(bad); !errors.Is(err, ErrSeal) && !errors.Is(err, ErrNoKey) {
			t.Errorf("byte %d: %v", at, err)
		}
		if err := read(b[:at]); !errors.Is(err, ErrSeal) {
			t.Errorf("cut at %d: %v", at, err)
		}
	}
	if _, err := (*Keys)(nil).UnsealAt(bytes.NewReader(b), 1); !errors.Is(err, ErrNoKey) {
		t.Error(err)
	}
	if name := k.Name(); !k.Has(name) || k.Has("") || k.Has("00") || (*Keys)(nil).Has(name) || (*Keys)(nil).Name() != "" {
		t.Errorf("key %q", name)
	}
}
