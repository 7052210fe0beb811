package conf_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatepost/rules/conf"
)

type where struct {
	Networks []netip.Prefix `yaml:"networks"`
	Peer     netip.Addr     `yaml:"peer"`
}

type inner struct {
	Pos   conf.Pos      `yaml:",pos"`
	Name  string        `yaml:"name" required:"true"`
	Count int           `yaml:"count" default:"7" min:"1" max:"100"`
	Wait  time.Duration `yaml:"wait" default:"5m"`
}

type outer struct {
	where
	Host    string             `yaml:"host"`
	On      bool               `yaml:"on"`
	Ratio   float64            `yaml:"ratio"`
	Bytes   conf.Size          `yaml:"bytes" default:"25MiB"`
	Keep    conf.Duration      `yaml:"keep" min:"1d"`
	Level   string             `yaml:"level" enum:"low|medium|high" default:"low"`
	Levels  []string           `yaml:"levels" enum:"low|medium|high" default:"[low, high]"`
	Items   []inner            `yaml:"items"`
	Section inner              `yaml:"section"`
	Maybe   *inner             `yaml:"maybe"`
	Named   map[string]inner   `yaml:"named"`
	Weights map[string]float64 `yaml:"weights"`
	File    conf.Path          `yaml:"file" default:"data.db"`
	Pass    conf.Secret        `yaml:"pass"`
	Until   time.Time          `yaml:"until"`
	Small   uint8              `yaml:"small"`
	Raw     conf.Node          `yaml:"raw"`
	Any     any                `yaml:"any"`
	Union   union              `yaml:"union"`
	Ignored string
}

// A union is a word or a mapping.
type union struct{ word, file string }

func (u *union) UnmarshalConf(n conf.Node) []conf.Problem {
	if n.Kind() == conf.Mapping {
		var in struct {
			File string `yaml:"file" required:"true"`
		}
		p := n.Decode(&in)
		u.file = in.File
		return p
	}
	if n.String() != "any" {
		return []conf.Problem{n.Problemf("expected any or {file: PATH}")}
	}
	u.word = n.String()
	return nil
}

func (i *inner) CheckConf(n conf.Node) []conf.Problem {
	if i.Name == "forbidden" {
		return []conf.Problem{n.Key("name").Problemf("this name is forbidden")}
	}
	return nil
}

func decode(t *testing.T, text string) outer {
	t.Helper()
	var o outer
	if p := conf.Decode("dir/c.yaml", []byte(text), &o); len(p) > 0 {
		t.Fatalf("decode: %v", p)
	}
	return o
}

func TestAnEmptyDocumentLeavesTheDefaults(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "---\n", "{}\n", "section:\nnamed: ~\n"} {
		o := decode(t, text)
		want := outer{Bytes: 25 << 20, Level: "low", Levels: []string{"low", "high"}, File: "dir/data.db"}
		want.Section.Count, want.Section.Wait = 7, 5*time.Minute
		want.Section.Pos, o.Section.Pos = conf.Pos{}, conf.Pos{}
		if !reflect.DeepEqual(o, want) {
			t.Errorf("%q: %+v", text, o)
		}
	}
}

func TestEveryTypeIsRead(t *testing.T) {
	t.Setenv("CONF_TEST_PASS", "hunter2")
	o := decode(t, `
host: no                # a word, not false
on: true
ratio: 0.25
bytes: 512KiB
keep: 2w
level: high
levels: [medium]
networks: [192.0.2.1, 10.0.0.0/8, "2001:db8::/32", "::1", "::ffff:198.51.100.0/120"]
peer: "::ffff:192.0.2.7"
items:
  - name: one
  - {name: two, count: 100, wait: 1h30m}
section: {name: 1.20, wait: 0}
maybe: {name: x}
named: {a: {name: b}, c: {name: d}}
weights: {dmarc.fail: 4, spf.fail: -1.5}
file: /etc/x
pass: redis://:${CONF_TEST_PASS}@host
until: 2027-01-31
small: 255
raw: {anything: [1, 2]}
any: {a: [1, 1.5, yes, true, "1", ~]}
union: {file: users.txt}
`)
	p := netip.MustParsePrefix
	wantNets := []netip.Prefix{p("192.0.2.1/32"), p("10.0.0.0/8"), p("2001:db8::/32"), p("::1/128"), p("198.51.100.0/24")}
	checks := []struct {
		name      string
		got, want any
	}{
		{"host", o.Host, "no"}, {"on", o.On, true}, {"ratio", o.Ratio, 0.25}, {"bytes", o.Bytes, conf.Size(512 << 10)},
		{"keep", time.Duration(o.Keep), 14 * 24 * time.Hour}, {"level", o.Level, "high"}, {"levels", o.Levels, []string{"medium"}},
		{"networks", o.Networks, wantNets}, {"peer", o.Peer, netip.MustParseAddr("192.0.2.7")},
		{"item 1", o.Items[0], inner{conf.Pos{File: "dir/c.yaml", Line: 12, Col: 5}, "one", 7, 5 * time.Minute}},
		{"item 2", o.Items[1], inner{conf.Pos{File: "dir/c.yaml", Line: 13, Col: 5}, "two", 100, 90 * time.Minute}},
		{"a given zero is no default", o.Section.Wait, time.Duration(0)}, {"text as written", o.Section.Name, "1.20"},
		{"maybe", o.Maybe.Count, 7}, {"named", o.Named["c"].Name, "d"},
		{"weights", o.Weights, map[string]float64{"dmarc.fail": 4, "spf.fail": -1.5}},
		{"file", o.File, conf.Path("/etc/x")}, {"pass", o.Pass.Reveal(), "redis://:hunter2@host"},
		{"until", o.Until, time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)}, {"small", o.Small, uint8(255)},
		{"raw", o.Raw.Key("anything").Item(1).Pos().String(), "dir/c.yaml:22:21"},
		{"any", o.Any, map[string]any{"a": []any{int64(1), 1.5, "yes", true, "1", nil}}}, {"union", o.Union.file, "users.txt"},
	}
	for _, c := range checks {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, c.got, c.want)
		}
	}
}

func TestASecretIsNeverPrinted(t *testing.T) {
	o := outer{Pass: conf.NewSecret("hunter2")}
	text, err := o.Pass.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	printed := fmt.Sprintf("%v %+v %#v %s %q %x %s", o, o, o.Pass, o.Pass, o.Pass, o.Pass, text) + o.Pass.LogValue().String()
	if strings.Contains(printed, "hunter2") || strings.Contains(printed, "68756e746572") {
		t.Errorf("printed: %s", printed)
	}
}

func TestASecretComesFromAFileThatOthersCannotRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("good", "s3cret\n", 0o600)
	write("open", "s3cret\n", 0o644)
	write("empty", "\n", 0o600)
	file := filepath.Join(dir, "c.yaml")
	cases := []struct{ text, want string }{
		{"pass: {file: good}", ""},
		{"pass: {file: open}", "1:14: file: everybody on this machine can read the secret in " + dir + "/open; chmod o-r it"},
		{"pass: {file: empty}", "1:14: file: the secret in " + dir + "/empty is empty"},
		{"pass: {file: none}", "1:14: file: " + dir + "/none: no such file or directory"},
	}
	for _, c := range cases {
		var o outer
		p := conf.Decode(file, []byte(c.text), &o)
		if c.want == "" {
			if len(p) > 0 || o.Pass.Reveal() != "s3cret" {
				t.Errorf("%s: %q %v", c.text, o.Pass.Reveal(), p)
			}
			continue
		}
		if len(p) != 1 || p[0].Error() != file+":"+c.want {
			t.Errorf("%s: got %v, want %s", c.text, p, c.want)
		}
	}
}

func TestANodeIsDecodedLater(t *testing.T) {
	o := decode(t, "raw: {enabled: false, count: 3, name: x}")
	enabled, rest := o.Raw.Cut("enabled")
	if enabled.String() != "false" || len(rest.Pairs()) != 2 {
		t.Fatalf("cut: %q, %d left", enabled, len(rest.Pairs()))
	}
	var in inner
	if p := rest.Decode(&in); len(p) > 0 || in.Count != 3 {
		t.Errorf("decode: %+v %v", in, p)
	}
	p := o.Raw.Decode(&in)
	if len(p) != 1 || p[0].Error() != `dir/c.yaml:1:7: unknown key "enabled" in raw; the keys here are name, count, wait` {
		t.Errorf("decode whole: %v", p)
	}
	var def inner
	if p := (conf.Node{}).Decode(&def); len(p) > 0 || def.Count != 7 {
		t.Errorf("decode absent: %+v %v", def, p)
	}
}

func TestUnitsAreWrittenAsTheyAreRead(t *testing.T) {
	for _, s := range []string{"90s", "5m", "36h", "30d", "2w", "250ms", "0s"} {
		d, ok := conf.ParseDuration(strings.Replace(s, "0s", "0s", 1))
		if !ok || conf.Duration(d).String() != s {
			t.Errorf("%s: %v %v", s, conf.Duration(d), ok)
		}
	}
	for _, s := range []string{"25MiB", "512KiB", "10MB", "1234", "0", "2TiB"} {
		z, ok := conf.ParseSize(s)
		if !ok || z.String() != s {
			t.Errorf("%s: %v %v", s, z, ok)
		}
	}
	for _, s := range []string{"", "5", "-5s", "5 s", "1m1h", "1s1s", "300000w", "m", "1..5s", "9223372036854775807ms", "1µs"} {
		if d, ok := conf.ParseDuration(s); ok {
			t.Errorf("%q is a duration: %v", s, d)
		}
	}
	for _, s := range []string{"", "MiB", "-1", "1.5.2MB", "99999999TiB", "1M", "0x10", "1 2"} {
		if z, ok := conf.ParseSize(s); ok {
			t.Errorf("%q is a size: %v", s, z)
		}
	}
}

func TestSuggestKnowsTheUsualSlips(t *testing.T) {
	known := []string{"recipients", "downstream", "downstream_tls", "when_down", "hostname", "data_dir", "tls", "log"}
	cases := map[string]string{"recipents": "recipients", "recipient": "recipients", "down-stream-tls": "downstream_tls",
		"Hostname": "hostname", "host": "hostname", "datadir": "data_dir", "ltos": "", "tsl": "tls", "tls_mode": "tls",
		"when_donw": "when_down", "xyzzy": "", "": "", "lgo": "log", strings.Repeat("x", 100): ""}
	for got, want := range cases {
		if s := conf.Suggest(got, known); s != want {
			t.Errorf("%q: got %q, want %q", got, s, want)
		}
	}
}
