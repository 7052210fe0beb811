package conformance

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatepost/filters/mail"
)

// A spoof is one session of the espoofer collection.
type spoof struct {
	ID, Description, Helo, Mailfrom string
	Data                            string `json:"data_b64"`
}

// spoofZone is the zone that the collection asks for. Names that no host can have are left out: they are never asked.
func spoofZone(t testing.TB) (zone string, client netip.Addr) {
	t.Helper()
	var records map[string]string
	if err := json.Unmarshal(read(t, "spoof-espoofer/dns.json"), &records); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for name, value := range records {
		if name == "_client_ip" {
			client = netip.MustParseAddr(value)
			continue
		}
		owner, _, _ := strings.Cut(name, " ")
		if !strings.ContainsAny(owner, "'") {
			fmt.Fprintf(&b, "%s TXT %s\n", owner, value)
		}
	}
	return b.String(), client
}

// verdict is what becomes of one session, without any policy: refused for its form, or the DMARC result.
func verdict(t testing.TB, s spoof) string {
	t.Helper()
	zone, client := spoofZone(t)
	data, err := base64.StdEncoding.DecodeString(s.Data)
	if err != nil {
		t.Fatal(err)
	}
	from, err := mail.ParseAddress(strings.Trim(s.Mailfrom, "<>"))
	if err != nil && s.Mailfrom != "<>" {
		return "501 at MAIL"
	}
	env := mail.Envelope{Time: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC), Remote: client, Helo: s.Helo, From: from}
	a := check(t, zone, env, data).Auth
	if a.Domain == "legitimate.example" || a.DMARC.Result == "pass" {
		t.Errorf("%s: %q is taken for the author's domain, by %q; DMARC %s for %s", s.ID, a.Domain, a.By, a.DMARC.Result, a.DMARC.From)
	}
	// What the listener would refuse for its form, had it come so far.
	m := mail.Parse(mail.Memory(data))
	for _, d := range m.Defects {
		if mail.SeverityOf(d.Code) == mail.Refuse {
			return "550 " + d.Code
		}
	}
	return "dmarc=" + a.DMARC.Result + " from " + a.DMARC.From
}

// D-01 to D-17, A-1 to A-19 of "Composition Kills": no session is taken for admin@legitimate.example.
func TestNoSpoofedSessionIsAuthenticated(t *testing.T) {
	var sessions []spoof
	if err := json.Unmarshal(read(t, "spoof-espoofer/cases.json"), &sessions); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"server_a1":  "dmarc=fail from legitimate.example",
		"server_a2":  "501 at MAIL",
		"server_a3":  "dmarc=fail from legitimate.example",
		"server_a4":  "dmarc=fail from legitimate.example",
		"server_a5":  "501 at MAIL",
		"server_a6":  "501 at MAIL",
		"server_a7":  "501 at MAIL",
		"server_a8":  "550 header.from-twice",
		"server_a9":  "550 header.leading-blank",
		"server_a10": "550 header.space-before-colon-identity",
		"server_a11": "550 header.folded-name-identity",
		"server_a12": "550 header.folded-name-identity",
		"server_a13": "550 header.folded-name-identity",
		"server_a14": "dmarc=fail from legitimate.example",
		"server_a15": "550 from.encoded",
		"server_a16": "dmarc=fail from legitimate.example",
		"server_a17": "550 from.split",
		"server_a18": "dmarc=fail from legitimate.example",
		"server_a19": "550 from.split",
		"client_a1":  "550 header.from-twice",
		"client_a2":  "dmarc=none from mail.example",
		"client_a3":  "dmarc=none from mail.example",
	}
	for _, s := range sessions {
		got := verdict(t, s)
		t.Logf("%-10s %-45s %s", s.ID, got, s.Description)
		if got != want[s.ID] {
			t.Errorf("%s: %s, want %s", s.ID, got, want[s.ID])
		}
	}
	if len(sessions) != 22 {
		t.Errorf("%d sessions, want 22", len(sessions))
	}
}
