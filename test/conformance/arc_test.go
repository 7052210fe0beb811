package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"gatepost/filters/mail"
)

// An arcScenario is one document of ValiMail's suites.
type arcScenario struct {
	Description string
	Tests       yaml.Node // a mapping in which some names stand twice
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
