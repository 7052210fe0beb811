package milter

import (
	"encoding/base64"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/test/harness"
	"gatepost/test/harness/clamav"
	"gatepost/test/harness/daemon"
)

const fileLetter = "From: Ann <ann@friend.example>\r\nTo: <bob@example.com>\r\nSubject: File\r\nDate: Mon, 30 Nov 2026 09:00:00 +0000\r\nMessage-ID: <9@friend.example>\r\nMIME-Version: 1.0\r\n" +
	"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nSee the file.\r\n--b\r\nContent-Type: application/octet-stream; name=a.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n--b--\r\n"

// wellKnown is a message with a file.
func wellKnown(content string) string {
	return fmt.Sprintf(fileLetter, base64.StdEncoding.EncodeToString([]byte(content)))
}

// openDKIM is a verifier that is set up by further lines.
func openDKIM(t *testing.T, lines string) (d *daemon.Daemon, address string) {
	t.Helper()
	program, dir, address := harness.Need(t, "opendkim"), daemon.Dir(t), daemon.Address(t)
	host, port, _ := strings.Cut(address, ":")
	conf := daemon.Write(t, dir, "opendkim.conf", "Mode v\nSocket inet:"+port+"@"+host+"\nSyslog no\nBackground no\nPidFile "+filepath.Join(dir, "pid")+"\nTestDNSData "+daemon.Write(t, dir, "dns", "none.example none\n")+"\n"+lines)
	d = daemon.Start(t, daemon.Listens("tcp", address), program, "-f", "-x", conf)
	t.Cleanup(d.Kill) // left to itself, libmilter takes five seconds to end
	return d, address
}

func TestARealVerifierIsUnderstood(t *testing.T) {
	for lines, want := range map[string][]string{
		"AlwaysAddARHeader yes\nAuthservID mx.example.com\n": {"milter.change.x; add header Authentication-Results: mx.example.com; dkim=none; dkim-atps=neutral"},
		"On-NoSignature reject\n":                            {"milter.reject.x; message: 550 5.7.0 no DKIM signature data"},
		"On-NoSignature tempfail\n":                          {"milter.tempfail.x; message: 451 4.7.0 no DKIM signature data"},
	} {
		_, address := openDKIM(t, lines)
		cfg := settings(address)
		cfg.Timeout = 20 * time.Second
		got, err := asked(t, cfg, letter(t, wellKnown("hello")))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v", lines, got, err)
		}
		if c := New(cfg).Conditions(t.Context())[0]; c.Err != nil || c.Detail != "speaks version 6" {
			t.Errorf("%q: %+v", lines, c)
		}
	}
}

// clamavMilter is ClamAV's milter before a clamd that knows the EICAR file.
func clamavMilter(t *testing.T, d *clamav.Daemon, lines string) string {
	t.Helper()
	program, dir := harness.Need(t, "clamav-milter"), daemon.Dir(t)
	socket := filepath.Join(dir, "m")
	conf := daemon.Write(t, dir, "milter.conf", "MilterSocket unix:"+socket+"\nClamdSocket "+d.Address+"\nForeground yes\nLogFile "+filepath.Join(dir, "log")+"\nTemporaryDirectory "+dir+"\nPidFile "+filepath.Join(dir, "pid")+"\n"+lines)
	m := daemon.Start(t, daemon.Listens("unix", socket), program, "-c", conf)
	t.Cleanup(m.Kill)
	return "unix:" + socket
}

func TestARealScannerIsUnderstood(t *testing.T) {
	d := clamav.Start(t)
	for lines, want := range map[string][2][]string{
		"OnInfected Reject\nRejectMsg found %v\n":                   {{"milter.reject.x; message: 550 5.7.1 found Eicar-Test-Signature.UNOFFICIAL"}, nil},
		"OnInfected Quarantine\n":                                   {{"milter.quarantine.x; hold: quarantined by clamav-milter"}, nil},
		"OnInfected Blackhole\n":                                    {{"milter.discard.x; message: let vanish"}, nil},
		"OnInfected Defer\n":                                        {{"milter.tempfail.x; message: refused for now"}, nil},
		"OnInfected Accept\nAddHeader Replace\nReportHostname mx\n": {{"milter.change.x; "}, {"milter.change.x; "}},
	} {
		cfg := settings(clamavMilter(t, d, lines))
		cfg.Timeout = 30 * time.Second
		for i, content := range []string{clamav.EICAR, strings.Repeat("0123456789", 20_000)} {
			got, err := asked(t, cfg, letter(t, wellKnown(content)))
			if err != nil || len(got) != len(want[i]) || len(got) > 0 && !strings.HasPrefix(got[0], want[i][0]) {
				t.Errorf("%q: %q, %v", lines, got, err)
			}
		}
	}
}

// A milter whose engine is gone says so in its own way, by its OnFail; the milter that is gone itself is a failure.
func TestARealMilterWithoutItsEngineIsNotClean(t *testing.T) {
	d := clamav.Start(t)
	cfg := settings(clamavMilter(t, d, "OnFail Defer\n"))
	cfg.Timeout = 30 * time.Second
	d.Stop()
	if got, err := asked(t, cfg, letter(t, wellKnown("hello"))); err == nil && (len(got) != 1 || !strings.HasPrefix(got[0], "milter.tempfail.x")) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestARealMilterThatHangsIsNeverClean(t *testing.T) {
	d, address := openDKIM(t, "")
	cfg := settings(address)
	d.Hang()
	cfg.Timeout = 200 * time.Millisecond
	if got, err := asked(t, cfg, letter(t, wellKnown("hello"))); err == nil || !strings.Contains(err.Error(), "timeout after 200ms") {
		t.Errorf("it hangs: %q, %v", got, err)
	}
	if c := New(cfg).Conditions(t.Context())[0]; c.Err == nil || !c.Down {
		t.Errorf("it hangs: %+v", c)
	}
	d.Wake()
	cfg.Timeout = 20 * time.Second
	if got, err := asked(t, cfg, letter(t, wellKnown("hello"))); err != nil {
		t.Errorf("it goes on: %q, %v", got, err)
	}
}
