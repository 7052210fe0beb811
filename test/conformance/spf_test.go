package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"gatepost/filters/auth"
	"gatepost/gateway/dns"
	"gatepost/rules/conf"
	"gatepost/test/harness/dnszone"
)

// A scenario is one document of the openspf suites.
type scenario struct {
	Description string
	Tests       map[string]struct {
		Helo, Host, Mailfrom string
		Result               any
		Explanation          string
	}
	Zonedata map[string][]any
}

// scenarios reads a suite.
func scenarios(t testing.TB, name string) []scenario {
	t.Helper()
	dec := yaml.NewDecoder(bytes.NewReader(read(t, name)))
	var all []scenario
	for {
		var s scenario
		err := dec.Decode(&s)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, s)
	}
}

// zoneText turns the suite's zone data into the text of a zone. Records of type SPF are served as TXT where the name
// says nothing of TXT itself, as the suite asks.
func zoneText(data map[string][]any) string {
	var b strings.Builder
	for name, records := range data {
		name = strings.ReplaceAll(strings.TrimSuffix(name, "."), " ", `\032`)
		hasTXT := slices.ContainsFunc(records, func(r any) bool { m, ok := r.(map[string]any); return ok && m["TXT"] != nil })
		for _, r := range records {
			m, ok := r.(map[string]any)
			if !ok {
				fmt.Fprintf(&b, "%s %v\n", name, r)
				continue
			}
			for kind, value := range m {
				if kind == "SPF" {
					if hasTXT {
						continue
					}
					kind = "TXT"
				}
				if value != "NONE" && value != "" {
					fmt.Fprintf(&b, "%s %s %s\n", name, kind, zoneValue(kind, value))
				}
			}
		}
	}
	return b.String()
}

func zoneValue(kind string, value any) string {
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	if kind == "MX" {
		host := fmt.Sprint(list[1])
		if host == "" {
			host = "."
		}
		return fmt.Sprintf("%v %s", list[0], host)
	}
	if kind != "TXT" {
		return fmt.Sprint(value)
	}
	var out []string
	for _, v := range list {
		s := fmt.Sprint(v)
		for len(s) > 255 {
			out, s = append(out, quoted(s[:255])), s[255:]
		}
		out = append(out, quoted(s))
	}
	return strings.Join(out, " ")
}

// quoted writes every byte that could mean something to the zone's reader as \DDD.
func quoted(s string) string {
	b := []byte{'"'}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c == '"' || c == '\\' || c < ' ' || c > '~' {
			b = fmt.Appendf(b, "\\%03d", c)
		} else {
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}

// D-31: the whole of the RFC 7208 suite, over packets.
func TestSPFSuites(t *testing.T) {
	for _, suite := range []struct {
		file  string
		cases int
		// differs explains cases whose expectation is not RFC 7208's.
		differs map[string]string
	}{
		{"spf-rfc7208/rfc7208-tests.yml", 203, nil},
		{"spf-rfc7208/rfc4408-tests.yml", 191, nil},
		{"spf-rfc7208/test.yml", 16, map[string]string{
			"default-modifier":       "default= is from drafts before the RFC; to RFC 7208 it is an unknown modifier, which is ignored",
			"default-modifier-harsh": "ambiguous is a result of pyspf's harsh mode, not of RFC 7208",
		}},
	} {
		t.Run(suite.file, func(t *testing.T) {
			n := 0
			for _, s := range scenarios(t, suite.file) {
				server := dnszone.Start(t, zoneText(s.Zonedata))
				r, err := dns.New(dns.Config{Servers: []string{server.Addr()}, Timeout: conf.Duration(50 * time.Millisecond)})
				if err != nil {
					t.Fatal(err)
				}
				for name, c := range s.Tests {
					n++
					q := auth.SPFQuery{IP: netip.MustParseAddr(c.Host), Sender: c.Mailfrom, Helo: c.Helo, Receiver: "receiver.example", Time: time.Now()}
					if c.Mailfrom == "" {
						q.Sender = "postmaster@" + c.Helo
					}
					got := auth.CheckSPF(t.Context(), r, q)
					if !allowed(c.Result, got.Result) {
						if why := suite.differs[name]; why != "" {
							t.Logf("%s: %s, suite says %v: %s", name, got.Result, c.Result, why)
							continue
						}
						t.Errorf("%s (%s): %s (%s), want %v", name, s.Description, got.Result, got.Reason, c.Result)
					}
					if want := c.Explanation; want != "" && got.Result == "fail" && got.Explanation != strings.TrimSuffix(want, "DEFAULT") {
						t.Errorf("%s: explanation %q, want %q", name, got.Explanation, want)
					}
				}
			}
			if n != suite.cases {
				t.Errorf("%d cases, want %d", n, suite.cases)
			}
		})
	}
}

// allowed reports whether a result is one of those that the suite accepts.
func allowed(want any, got string) bool {
	if list, ok := want.([]any); ok {
		return slices.Contains(list, any(got))
	}
	return want == got
}
