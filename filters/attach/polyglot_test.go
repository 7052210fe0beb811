package attach

import (
	"slices"
	"testing"
)

// F-07: a file that is two formats at once is looked into as each, and told.
func TestPolyglotsAreOpenedAsEachFormat(t *testing.T) {
	gif := "GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
	for name, front := range map[string]string{"PDF": "%PDF-1.4\n1 0 obj<<>>endobj\n", "GIF": gif, "EXE": "MZ\x90\x00\x03\x00\x00\x00\x04\x00"} {
		data := append([]byte(front), zipped("a.com", eicar)...)
		got := codes(check(t, "a.bin", "application/octet-stream", data))
		if !slices.Contains(got, "attach.polyglot") || !slices.Contains(got, "attach.eicar") {
			t.Errorf("%s and ZIP: %v", name, got)
		}
	}
}
