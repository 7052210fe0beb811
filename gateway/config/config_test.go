package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files and the generated documents")

// today is the clock of these tests.
var today = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const minimal = "hostname: mx.example.com\ndomains: [{name: example.com, downstream: [\"127.0.0.1:2526\"]}]\n"

func accepted(t *testing.T, text string) *Config {
	t.Helper()
	c, problems := parse(filepath.Join(t.TempDir(), "gatepost.yaml"), []byte(text), today)
	if len(problems) > 0 {
		t.Fatalf("problems: %v", problems)
	}
	return c
}

func TestTheSmallestFileIsEnough(t *testing.T) {
	c := accepted(t, minimal)
	l := c.Listeners[0]
	if l.Address != ":25" || l.TLS != "required" || c.TLS.MinVersion != "1.2" || c.DataDir != "/var/lib/gatepost" {
		t.Errorf("listener: %+v %+v", l, c.TLS)
	}
	d := c.Domains[0]
	if d.TLS != "off" || d.Protocol != "smtp" || d.Recipients.Mode != "downstream" || d.WhenDown != "defer" {
		t.Errorf("domain: %+v", d)
	}
	if c.Limits.MessageBytes != 25<<20 || c.Limits.SessionLimits.Recipients != 100 || c.Timeouts.Normal.Idle != 5*time.Minute ||
		c.Quarantine.Retention.Spam != 30*24*time.Hour || c.Admin.Address != "127.0.0.1:8025" || !c.Admin.Metrics {
		t.Errorf("defaults: %+v %+v %+v %+v", c.Limits, c.Timeouts, c.Quarantine, c.Admin)
	}
	if c.StoreURL() != "sqlite:/var/lib/gatepost/gatepost.db" || c.State.URL.Reveal() != "" {
		t.Errorf("store %q state %q", c.StoreURL(), c.State.URL.Reveal())
	}
	if len(c.Notes) != 1 || !strings.Contains(c.Notes[0].Message, "self-signed") {
		t.Errorf("notes: %v", c.Notes)
	}
}

func TestTheSampleIsAccepted(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "policy.yaml"), []byte("version: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "gatepost.yaml")
	if err := os.WriteFile(file, Sample(), 0o600); err != nil {
		t.Fatal(err)
	}
	c, problems := Load(file)
	if len(problems) > 0 {
		t.Fatalf("problems: %v", problems)
	}
	if c.DataDir != pathIn(dir, "data") || c.Policy != pathIn(dir, "policy.yaml") {
		t.Errorf("paths: %s %s", c.DataDir, c.Policy)
	}
}

// The sample's commented lines are advice that a reader will follow; each must be right as well.
func TestTheCommentedLinesOfTheSampleAreAccepted(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"policy.yaml", "users.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var lines []string
	for line := range strings.Lines(string(Sample())) {
		trimmed := strings.TrimLeft(line, " ")
		indent := line[:len(line)-len(trimmed)]
		if body, ok := strings.CutPrefix(trimmed, "# "); ok && strings.Contains(body, ":") && !strings.Contains(body, ". ") && !strings.HasSuffix(body, ".\n") {
			line = indent + body
		}
		lines = append(lines, line)
	}
	text := strings.Replace(strings.Join(lines, ""), "tls: offered ", "tls: required ", 1)
	text = strings.ReplaceAll(text, "/etc/gatepost/", dir+"/")
	writePair(t, dir, "mx-ecdsa", "mx.example.com", today.AddDate(1, 0, 0))
	writePair(t, dir, "mx-rsa", "mx.example.com", today.AddDate(1, 0, 0))
	c, problems := parse(filepath.Join(dir, "gatepost.yaml"), []byte(text), today)
	if len(problems) > 0 {
		t.Fatalf("problems: %v\n%s", problems, text)
	}
	d := c.Domains[0]
	if d.WhenDown != "hold" || d.Recipients.Mode != "file" || len(c.TLS.Certificates) != 2 || c.Filters.Enabled("attach") {
		t.Errorf("not all lines were taken: %+v", c)
	}
}

func TestDomainsHaveOneSpelling(t *testing.T) {
	c := accepted(t, "hostname: MX.Example.COM.\ndomains:\n  - {name: ÖURS.example., downstream: [\"Mail.Internal\", \"[::1]:24\", \"10.1.2.3\"], downstream_protocol: lmtp}\n")
	if c.Hostname != "mx.example.com" || c.Domains[0].Name != "xn--urs-rna.example" {
		t.Errorf("names: %s %s", c.Hostname, c.Domains[0].Name)
	}
	if got := strings.Join(c.Domains[0].Downstream, " "); got != "mail.internal:25 [::1]:24 10.1.2.3:25" {
		t.Errorf("downstream: %s", got)
	}
	if c.Domains[0].TLS != "verify" {
		t.Errorf("tls to another machine: %s", c.Domains[0].TLS)
	}
}

func TestFiltersAreDecodedByTheirOwners(t *testing.T) {
	c := accepted(t, minimal+"filters:\n  clamd: {address: a, enabled: true}\n  dnsbl: {enabled: false, zones: [x]}\n  bayes:\n")
	var clamd struct {
		Address string        `yaml:"address"`
		Timeout time.Duration `yaml:"timeout" default:"5s"`
	}
	if p := c.Filters.Decode("clamd", &clamd); len(p) > 0 || clamd.Address != "a" || clamd.Timeout != 5*time.Second {
		t.Errorf("clamd: %+v %v", clamd, p)
	}
	clamd.Address = ""
	if p := c.Filters.Decode("bayes", &clamd); len(p) > 0 || clamd.Address != "" {
		t.Errorf("bayes: %+v %v", clamd, p)
	}
	if !c.Filters.Enabled("clamd") || c.Filters.Enabled("dnsbl") || !c.Filters.Enabled("bayes") || !c.Filters.Enabled("links") {
		t.Error("enabled")
	}
	if p := c.Filters.Decode("dnsbl", &clamd); len(p) != 1 || !strings.HasSuffix(p[0].Error(), `gatepost.yaml:5:27: unknown key "zones" in dnsbl; the keys here are address, timeout`) {
		t.Errorf("dnsbl: %v", p)
	}
	p := c.Filters.Unknown([]string{"clamd", "dnsbl", "bayesian"})
	if len(p) != 1 || !strings.HasSuffix(p[0].Error(), `gatepost.yaml:6:3: unknown key "bayes" in filters (did you mean "bayesian"?)`) {
		t.Errorf("unknown: %v", p)
	}
}

// S-10, D-35: what would open the gateway is refused, and what weakens it is said.
func TestNotesSayWhatWeakens(t *testing.T) {
	dir := t.TempDir()
	writePair(t, dir, "old", "mx.example.com", today.AddDate(0, 0, -3))
	writePair(t, dir, "soon", "other.example", today.AddDate(0, 0, 5))
	text := `hostname: mx
tls:
  certificates:
    - {cert: old.crt, key: old.key}
    - {cert: soon.crt, key: soon.key}
domains:
  - {name: a.example, downstream: [mail.internal], downstream_tls: off, recipients: any}
  - {name: b.example, downstream: [mail.internal], downstream_tls: opportunistic}
  - {name: c.example, downstream: [10.0.0.1]}
  - {name: d.example, downstream: [mail.internal], downstream_tls: pin, downstream_pins: ["sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]}
admin: {address: ":8025", public: true}
limits: {recipients: 50}
timeouts: {normal: {idle: 60s}}
store: {url: "postgres://u:hunter2@db.example/d?sslmode=disable"}
`
	c, problems := parse(filepath.Join(dir, "f"), []byte(text), today)
	if len(problems) > 0 {
		t.Fatalf("problems: %v", problems)
	}
	var got []string
	for _, n := range c.Notes {
		got = append(got, strings.TrimPrefix(n.Error(), dir+"/"))
	}
	want := []string{
		"f:1:11: hostname: mx has no domain; others will not find it in DNS, and some refuse mail about it",
		"f:4:5: certificates: none of them is for mx, the hostname: senders that verify will not accept it",
		"f:4:14: cert: the certificate expired on 2026-11-20",
		"f:5:14: cert: the certificate expires in 5 days, on 2026-11-28",
		"f:7:68: downstream_tls: mail goes to mail.internal:25 in clear text: whoever is between can read and change it",
		"f:7:85: recipients: every address is taken, whether it exists or not; what the next hop then refuses, we refuse",
		"f:8:68: downstream_tls: mail goes to mail.internal:25 in clear text whenever somebody between wants it to",
		"f:9:35: downstream: verify asks 10.0.0.1:25 for a certificate that names this address, which few have; use a host name, or pin",
		"f:10:90: downstream_pins: one pin alone: when the next hop changes its key, mail is deferred until this file has the new one",
		"f:11:18: address: the review pages can be reached from other machines, without TLS of their own; put a proxy that speaks TLS before them",
		"f:12:22: recipients: RFC 5321 section 4.5.3.1.8 wants at least 100 recipients to be taken",
		"f:13:27: idle: RFC 5321 section 4.5.3.2.7 wants five minutes for a command",
		"f:14:14: url: held mail goes to postgres://db.example:5432/d in clear text: whoever is between can read and change it",
		"f:14:14: url: gateways that share a store should share their counters too: without state.url each counts for itself",
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
}

func TestSecretsAreNotInTheProblems(t *testing.T) {
	_, problems := parse("f", []byte(minimal+"store: {url: \"mysql://u:hunter2@h/d\"}\nstate: {url: \"http://:hunter2@h\"}\n"), today)
	if len(problems) != 2 || strings.Contains(problems[0].Error()+problems[1].Error(), "hunter2") {
		t.Errorf("problems: %v", problems)
	}
}

func TestAFileThatIsNotThereSaysWhatToDo(t *testing.T) {
	_, problems := Load("/nonexistent/gatepost.yaml")
	if len(problems) != 1 || problems[0].Error() != "/nonexistent/gatepost.yaml: there is no such file; gatepost init writes one, and -c names another" {
		t.Errorf("problems: %v", problems)
	}
}

// The generated documents are in step with the structs: run go test ./gateway/config -update after a change.
func TestTheGeneratedDocumentsAreInStep(t *testing.T) {
	var page bytes.Buffer
	if err := Reference(&page); err != nil {
		t.Fatal(err)
	}
	if !json.Valid(Schema()) {
		t.Error("the schema is not JSON")
	}
	golden(t, filepath.Join("..", "..", "docs", "configuration.md"), page.Bytes())
	golden(t, filepath.Join("..", "..", "docs", "gatepost.schema.json"), Schema())
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
		i := 0
		for i < min(len(g), len(w))-1 && g[i] == w[i] {
			i++
		}
		t.Errorf("%s:%d\n got %s\nwant %s", file, i+1, g[i], w[i])
	}
}

// Whoever sets one limit need not know those that lie within it or around it.
func TestLimitsThatAreNotNamedFollowThoseThatAre(t *testing.T) {
	for text, want := range map[string][]int64{
		"":                               {25 << 20, 512 << 10, 128 << 10, 10000},
		"message_bytes: 100000":          {100000, 100000, 100000, 10000},
		"header_field_bytes: 1MiB":       {25 << 20, 1 << 20, 1 << 20, 10000},
		"message_bytes: 1GiB":            {1 << 30, 512 << 10, 128 << 10, 10000},
		"connections: 5":                 {25 << 20, 512 << 10, 128 << 10, 5},
		"client_connections: 20000":      {25 << 20, 512 << 10, 128 << 10, 20000},
		"header_bytes: 64KiB, errors: 5": {25 << 20, 64 << 10, 64 << 10, 10000},
	} {
		cfg, problems := Parse("gatepost.yaml", []byte("hostname: mx.example.com\ndomains: [{name: example.com, downstream: [\"127.0.0.1:2526\"]}]\nlimits: {"+text+"}\n"))
		if len(problems) > 0 {
			t.Errorf("%s: %v", text, problems)
			continue
		}
		l := cfg.Limits
		got := []int64{int64(l.MessageBytes), int64(l.HeaderBytes), int64(l.FieldBytes), int64(l.SessionLimits.Connections)}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
		for _, p := range l.pairs() {
			if !p.inOrder() {
				t.Errorf("%s: %s", text, p.problem)
			}
		}
	}
}
