package geo

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/test/harness/mmdb"
)

var made = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// files writes a country file, a network file and a flat one.
func files(t testing.TB) (country, network, flat string) {
	dir := t.TempDir()
	country, network, flat = filepath.Join(dir, "country.mmdb"), filepath.Join(dir, "asn.mmdb"), filepath.Join(dir, "flat.mmdb")
	in := func(code string) map[string]any { return map[string]any{"iso_code": code} }
	mmdb.Write(t, country, made, map[string]mmdb.Record{
		"203.0.113.0/24":  {"country": in("DE"), "registered_country": in("US")},
		"198.51.100.0/25": {"registered_country": in("fr")},
		"192.0.2.0/24":    {"country": in("nowhere")},
		"2001:db8::/32":   {"country": in("CN")},
	})
	mmdb.Write(t, network, made.AddDate(0, -3, 0), map[string]mmdb.Record{
		"203.0.113.0/25":  {"autonomous_system_number": uint32(64496), "autonomous_system_organization": "Example"},
		"2001:db8:1::/48": {"autonomous_system_number": uint32(4200000000)},
	})
	mmdb.Write(t, flat, made, map[string]mmdb.Record{"198.51.100.128/25": {"country_code": "BR", "asn": "AS64511"}, "192.0.2.0/24": {"asn": "ASX", "country": "Atlantis"}})
	return country, network, flat
}

func TestCountriesAndNetworksComeFromTheFirstFileThatKnows(t *testing.T) {
	country, network, flat := files(t)
	l, err := Open([]string{country, network, flat})
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]struct {
		country string
		asn     uint32
	}{
		"203.0.113.1": {"DE", 64496}, "203.0.113.200": {"DE", 0}, "198.51.100.1": {"FR", 0}, "198.51.100.200": {"BR", 64511},
		"192.0.2.1": {"", 0}, "2001:db8:1::1": {"CN", 4200000000}, "2001:db8:2::1": {"CN", 0}, "8.8.8.8": {"", 0}, "::1": {"", 0}, "127.0.0.1": {"", 0},
		"fe80::1%eth0": {"", 0},
	} {
		if c, n := l.Locate(netip.MustParseAddr(addr)); c != want.country || n != want.asn {
			t.Errorf("%s: %q %d, want %v", addr, c, n, want)
		}
	}
	if c, n := l.Locate(netip.Addr{}); c != "" || n != 0 {
		t.Errorf("no address: %q %d", c, n)
	}
	if path, at := l.Oldest(); path != network || !at.Equal(made.AddDate(0, -3, 0)) {
		t.Errorf("oldest %s %s", path, at)
	}
	var none *Locator
	if c, n := none.Locate(netip.MustParseAddr("203.0.113.1")); c != "" || n != 0 {
		t.Error("a site without files knows something")
	}
}

func TestAFileThatIsNotWholeIsRefused(t *testing.T) {
	country, _, _ := files(t)
	whole, err := os.ReadFile(country)
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "bad.mmdb")
	for _, data := range [][]byte{nil, []byte("hello"), whole[:len(whole)-40], whole[200:]} {
		if err := os.WriteFile(bad, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if l, err := Open([]string{bad}); err == nil {
			l.Locate(netip.MustParseAddr("203.0.113.1")) // opened or not, it must not crash
		} else if !strings.Contains(err.Error(), "bad.mmdb") {
			t.Errorf("%v", err)
		}
	}
	if _, err := Open([]string{bad + ".none"}); err == nil {
		t.Error("a file that there is not")
	}
}

func FuzzLocate(f *testing.F) {
	b, err := mmdb.Build(made, map[string]mmdb.Record{"203.0.113.0/24": {"country": map[string]any{"iso_code": "DE"}, "asn": "AS1"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, data []byte) {
		l := &Locator{}
		if l.add("f.mmdb", data) != nil {
			return
		}
		for _, a := range []string{"203.0.113.9", "2001:db8::1", "255.255.255.255"} {
			if c, _ := l.Locate(netip.MustParseAddr(a)); c != "" && len(c) != 2 {
				t.Errorf("country %q", c)
			}
		}
	})
}

func BenchmarkLocate(b *testing.B) {
	country, network, _ := files(b)
	l, err := Open([]string{country, network})
	if err != nil {
		b.Fatal(err)
	}
	a := netip.MustParseAddr("203.0.113.1")
	b.ReportAllocs()
	for b.Loop() {
		l.Locate(a)
	}
}
