package main

import (
	"slices"
	"strings"
	"testing"
)

func TestOnlyWhatIsAsOnTheDiskIsGivenBack(t *testing.T) {
	const smaps = `00400000-01d00000 r-xp 00000000 fe:00 77 /usr/bin/gatepost
Size:              25600 kB
Rss:               18240 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
01d00000-0377a000 r--p 01900000 fe:00 77 /usr/bin/gatepost
Rss:               20808 kB
Anonymous:             4 kB
0377a000-03922000 rw-p 0337a000 fe:00 77 /usr/bin/gatepost
Anonymous:             0 kB
03922000-05922000 rw-p 00000000 00:00 0
Anonymous:             0 kB
7f0000000000-7f0000001000 r--p 00000000 fe:00 78 /usr/bin/gatepost (deleted)
Anonymous:             0 kB
7f0000002000-7f0000003000 r--p 00000000 fe:00 79 /usr/share/zoneinfo/UTC
Anonymous:             0 kB
7f0000004000-7f0000005000 r--p 00000000 fe:00 77 /usr/bin/gatepost
Anonymous:             0 kB
nonsense
`
	want := [][2]uintptr{{0x400000, 0x1d00000}, {0x7f0000004000, 0x7f0000005000}}
	if got := pristine(strings.NewReader(smaps), "/usr/bin/gatepost"); !slices.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
	unread()
	if got := pristine(strings.NewReader(smaps), "/usr/bin/gatepost"); !slices.Equal(got, want) {
		t.Errorf("after it was given back, the program finds %x", got)
	}
}
