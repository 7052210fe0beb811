package web

import "testing"

func TestDomainsThatCannotExistAreKnown(t *testing.T) {
	for d, want := range map[string]bool{"a.com": true, "a.co.uk": true, "iki.fi": true, "x.github.io": true, "github.io": true, "a.example": true, "com": false, "co.uk": false, "a.nosuchending": false, "localhost.localdomain": false, "": false, "localhost": false} {
		if Registrable(d) != want {
			t.Errorf("%s: want %v", d, want)
		}
	}
}
