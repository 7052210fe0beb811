package attach

import (
	"context"
	"strings"
	"testing"
	"time"

	"gatepost/filters/clamd"
	"gatepost/test/harness/clamav"
)

// The same files that the built-in signature is tried with, given to a real clamd that knows the EICAR file alone.
func TestARealClamdFindsEICARInTheFormatsToo(t *testing.T) {
	d := clamav.Start(t)
	f := clamd.New(clamd.Config{Address: clamd.Addresses{d.Address}, Timeout: 30 * time.Second, Connections: 1, MaxBytes: 25 << 20})
	// What ClamAV 1.4 does not open itself; ours does, or holds it as unscannable. "7z" is the one that
	// this test writes, which 7-Zip reads. What opens RAR is no part of Debian's ClamAV.
	blind := map[string]bool{"zip by zstd": true, "zip by xz": true, "zstd": true, "deflate.7z": true, "bzip2.7z": true, "ppmd.zip": true, "delta.7z": true, "7z": true, "rar 4 packed": true, "rar 5 packed": true}
	files := samples(t)
	for name, wrap := range wrappers() {
		files[name] = wrap(longText())
	}
	for name, data := range files {
		facts, err := f.Check(context.Background(), letter("a.bin", "application/octet-stream", data))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		found := len(facts.Findings) > 0
		if !found && !blind[name] && !strings.HasPrefix(name, "locked") {
			t.Errorf("%s: ClamAV finds nothing", name)
		}
		if found && blind[name] {
			t.Errorf("%s: ClamAV opens it now; say so in README.md", name)
		}
	}
}
