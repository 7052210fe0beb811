package attach

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"gatepost/filters"
)

// handed are the files that Each gives out of a message with one attachment, and what it could not open.
func handed(t *testing.T, name string, data []byte) (streams []filters.Stream, contents [][]byte, blind []filters.Finding) {
	t.Helper()
	blind, err := New(Config{}).Each(context.Background(), letter(name, "application/octet-stream", data).Message, func(s filters.Stream) error {
		b, err := io.ReadAll(io.NewSectionReader(s, 0, s.Size))
		streams, contents = append(streams, s), append(contents, b)
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return streams, contents, blind
}

// What Check finds inside of anything, Each gives out: the same files that the built-in signature is tried with.
func TestEveryFileInsideIsGivenOut(t *testing.T) {
	files := samples(t)
	for name, wrap := range wrappers() {
		files[name] = wrap(eicar)
		files[name+" in zip"] = zipped("inner", wrap(eicar))
	}
	for name, data := range files {
		if strings.HasPrefix(name, "locked") {
			continue
		}
		streams, contents, blind := handed(t, "a.bin", data)
		if !slices.ContainsFunc(contents, func(b []byte) bool { return bytes.Contains(b, eicar) }) && len(blind) == 0 {
			t.Errorf("%s: neither given out nor said to be closed; %d streams", name, len(streams))
		}
	}
}

func TestWhatIsGivenOutSaysWhereItStands(t *testing.T) {
	streams, contents, blind := handed(t, "a.zip", zipped("b.gz", gzipped([]byte("inside"))))
	var got []string
	for i, s := range streams {
		got = append(got, s.Where+"|"+s.Name+"|"+string(contents[i][:min(2, len(contents[i]))]))
	}
	want := []string{"part 1||he", "part 2|a.zip|PK", "part 2|a.zip > b.gz|\x1f\x8b", "part 2|a.zip > b.gz > b|in"}
	if !slices.Equal(got, want) || len(blind) > 0 {
		t.Errorf("%q, want %q; %v", got, want, blind)
	}
}

func TestWhatEachCannotOpenIsSaid(t *testing.T) {
	for name, data := range map[string][]byte{"a.zip": zipped("x", []byte("hello"))[:40], "a.xar": []byte("xar!" + strings.Repeat("x", 100))} {
		if _, _, blind := handed(t, name, data); len(blind) == 0 {
			t.Errorf("%s: nothing is said", name)
		}
	}
}

func TestAnErrorOfTheTakerEndsTheWalk(t *testing.T) {
	enough, n := errors.New("enough"), 0
	_, err := New(Config{}).Each(context.Background(), letter("a.zip", "application/zip", zipped("x", []byte("y"))).Message, func(filters.Stream) error {
		n++
		return enough
	})
	if !errors.Is(err, enough) || n != 1 {
		t.Errorf("%v after %d", err, n)
	}
}
