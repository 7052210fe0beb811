package conformance

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"gatepost/filters/auth"
	"gatepost/filters/mail"
)

// An arcScenario is one document of ValiMail's suites.
type arcScenario struct {
	Description string
	Tests       yaml.Node         // a mapping in which some names stand twice
	TXTRecords  map[string]string `yaml:"txt-records"`
	Domain      string
	Sel         string
	PrivateKey  string `yaml:"privatekey"`
}

// An arcCase is one message, with what its chain is worth or what sealing it must give.
type arcCase struct {
	Description string
	Message     string
	CV          string `yaml:"cv"`
	T           int64  `yaml:"t"`
	SigHeaders  string `yaml:"sig-headers"`
	SrvID       string `yaml:"srv-id"`
	AS          string `yaml:"AS"`
	AMS         string `yaml:"AMS"`
	AAR         string `yaml:"AAR"`
}

func arcScenarios(t testing.TB, name string) []arcScenario {
	t.Helper()
	dec := yaml.NewDecoder(bytes.NewReader(read(t, name)))
	var all []arcScenario
	for {
		var s arcScenario
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

// cases calls f for every case of the scenario, those with a name that stands twice included.
func (s *arcScenario) cases(t *testing.T, f func(name string, c arcCase)) {
	for i := 0; i+1 < len(s.Tests.Content); i += 2 {
		var c arcCase
		if err := s.Tests.Content[i+1].Decode(&c); err != nil {
			t.Fatal(err)
		}
		f(s.Tests.Content[i].Value, c)
	}
}

func arcZone(s arcScenario) string {
	var b strings.Builder
	for name, txt := range s.TXTRecords {
		fmt.Fprintf(&b, "%s TXT %s\n", name, strings.Join(strings.Fields(txt), " "))
	}
	return b.String()
}

// D-29: every case of ValiMail's validation suite.
func TestARCValidationSuite(t *testing.T) {
	n := 0
	for _, s := range arcScenarios(t, "arc-valimail/tests/arc-draft-validation-tests.yml") {
		s.cases(t, func(name string, c arcCase) {
			n++
			facts := check(t, arcZone(s), mail.Envelope{Time: time.Unix(1514764800, 0)}, []byte(c.Message))
			want := strings.ToLower(strings.TrimSpace(c.CV))
			if want == "" {
				want = "fail" // a chain that says itself that it is broken
			}
			if got := facts.Auth.ARC; got.Result != want {
				t.Errorf("%s (%s: %s): %s (%s), want %s", name, s.Description, c.Description, got.Result, got.Reason, want)
			}
		})
	}
	if n != 175 {
		t.Errorf("%d cases, want 171 and 4 with the names of others", n)
	}
}

// ownResults joins the Authentication-Results of one authserv-id, as the suite's README has it.
func ownResults(message, id string) string {
	head, _, _ := strings.Cut(message, "\n\n")
	head = strings.ReplaceAll(strings.ReplaceAll(head, "\n ", " "), "\n\t", " ")
	out := id
	for line := range strings.SplitSeq(head, "\n") {
		name, value, _ := strings.Cut(line, ":")
		who, rest, _ := strings.Cut(value, ";")
		if strings.EqualFold(strings.TrimSpace(name), "Authentication-Results") && strings.TrimSpace(who) == id {
			out += "; " + strings.Trim(strings.TrimSpace(rest), ";")
		}
	}
	return strings.Join(strings.Fields(out), " ")
}

// tagsOf reduces a field to its tags without white space.
func tagsOf(s string) map[string]string {
	out := map[string]string{}
	for t := range strings.SplitSeq(s, ";") {
		k, v, _ := strings.Cut(t, "=")
		out[strings.TrimSpace(k)] = strings.Join(strings.Fields(v), "")
	}
	return out
}

// Every case of ValiMail's signing suite: the same seals, to the last bit.
func TestARCSigningSuite(t *testing.T) {
	n := 0
	for _, s := range arcScenarios(t, "arc-valimail/tests/arc-draft-sign-tests.yml") {
		block, _ := pem.Decode([]byte(s.PrivateKey))
		key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		s.cases(t, func(name string, c arcCase) {
			n++
			sealer, err := auth.NewSealer(s.Domain, s.Sel, key, strings.Split(c.SigHeaders, ":")...)
			if err != nil {
				t.Fatal(err)
			}
			results := ownResults(c.Message, c.SrvID)
			cv := "fail" // one case says nothing of the chain: it is broken
			if m := regexp.MustCompile(`\barc=(\w+)`).FindStringSubmatch(results); m != nil {
				cv = m[1]
			}
			got, err := sealer.Seal(mail.Memory(c.Message), results, cv, time.Unix(c.T, 0))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if c.AS == "" {
				if got != "" {
					t.Errorf("%s (%s): a set was added:\n%s", name, c.Description, got)
				}
				return
			}
			as, rest, _ := strings.Cut(got, "\r\nARC-Message-Signature:")
			ams, aar, _ := strings.Cut(rest, "\r\nARC-Authentication-Results:")
			if want, got := tagsOf(c.AS), tagsOf(strings.TrimPrefix(as, "ARC-Seal:")); !maps.Equal(want, got) {
				t.Errorf("%s (%s): seal\n%v, want\n%v", name, c.Description, got, want)
			}
			if want, got := tagsOf(c.AMS), tagsOf(ams); !maps.Equal(want, got) {
				t.Errorf("%s (%s): message signature\n%v, want\n%v", name, c.Description, got, want)
			}
			if want, got := strings.Join(strings.Fields(c.AAR), " "), strings.Join(strings.Fields(aar), " "); want != got {
				t.Errorf("%s (%s): results\n%s, want\n%s", name, c.Description, got, want)
			}
		})
	}
	if n != 17 {
		t.Errorf("%d cases, want 17", n)
	}
}
