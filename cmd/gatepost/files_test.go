package main

import (
	"testing"

	"gatepost/gateway/smtp"
)

// Idle clients leave files for next hops, name servers and the journal, however few the process may open.
func TestConnectionsLeaveFilesForTheRest(t *testing.T) {
	for _, c := range []struct {
		files uint64
		asked int
		want  int
	}{
		{0, 10000, 10000},
		{64, 10000, 32},
		{1024, 10000, 512},
		{1025, 10000, 513},
		{4096, 10000, 3584},
		{65536, 10000, 10000},
		{1 << 62, 1000000, 1000000},
		{1024, 100, 100},
	} {
		l := smtp.Limits{Connections: c.asked}
		if got := affordable(l, c.files).Connections; got != c.want {
			t.Errorf("%d files, %d asked: %d connections, want %d", c.files, c.asked, got, c.want)
		}
		if told := fewFiles(l, c.files) != ""; told != (c.want < c.asked) {
			t.Errorf("%d files, %d asked: told %v", c.files, c.asked, told)
		}
	}
}
