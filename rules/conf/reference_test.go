package conf_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"gatepost/rules/conf"
)

type leaf struct {
	Mode string `yaml:"mode" enum:"a|b" default:"a" doc:"What to do."`
	N    int    `yaml:"n" min:"1" default:"3" doc:"How many."`
}

type page struct {
	Host  string                   `yaml:"host" required:"true" doc:"The name."`
	Wait  time.Duration            `yaml:"wait" default:"5m" doc:"How long."`
	Size  conf.Size                `yaml:"size" default:"25MiB" doc:"How much."`
	Leafs []leaf                   `yaml:"leafs" doc:"The leaves."`
	Named map[string]leaf          `yaml:"named" doc:"By name."`
	Words []string                 `yaml:"words" default:"[x, y]"`
	Pass  conf.Secret              `yaml:"pass"`
	On    bool                     `yaml:"on"`
	More  map[string][]conf.Secret `yaml:"more"`
}

func TestTheReferenceShowsEveryKey(t *testing.T) {
	var b strings.Builder
	if err := conf.Reference(&b, page{}, "Page"); err != nil {
		t.Fatal(err)
	}
	want := "# Page\n\n| key | type | default | meaning |\n|---|---|---|---|\n" +
		"| `host` | text | (must be given) | The name. |\n" +
		"| `wait` | duration | `5m` | How long. |\n" +
		"| `size` | size | `25MiB` | How much. |\n" +
		"| `leafs` | list of mapping |  | The leaves. |\n" +
		"| `named` | mapping of names to mapping |  | By name. |\n" +
		"| `words` | list of text | `[x, y]` |  |\n" +
		"| `pass` | secret |  |  |\n" +
		"| `on` | `true` or `false` | `false` |  |\n" +
		"| `more` | mapping of names to list of secret |  |  |\n" +
		"\n## `leafs[]`\n\nThe leaves.\n\n| key | type | default | meaning |\n|---|---|---|---|\n" +
		"| `mode` | `a` or `b` | `a` | What to do. |\n| `n` | whole number, at least 1 | `3` | How many. |\n" +
		"\n## `named.NAME`\n\nBy name.\n\n| key | type | default | meaning |\n|---|---|---|---|\n" +
		"| `mode` | `a` or `b` | `a` | What to do. |\n| `n` | whole number, at least 1 | `3` | How many. |\n"
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}

func TestTheSchemaIsWhatAnEditorUnderstands(t *testing.T) {
	var s struct {
		Schema     string                    `json:"$schema"`
		Required   []string                  `json:"required"`
		Additional *bool                     `json:"additionalProperties"`
		Properties map[string]map[string]any `json:"properties"`
	}
	if err := json.Unmarshal(conf.Schema(page{}), &s); err != nil {
		t.Fatal(err)
	}
	if s.Schema != "https://json-schema.org/draft/2020-12/schema" || len(s.Required) != 1 || s.Additional == nil || *s.Additional {
		t.Errorf("frame: %+v", s)
	}
	if len(s.Properties) != 9 || s.Properties["wait"]["default"] != "5m" || s.Properties["host"]["description"] != "The name." {
		t.Errorf("properties: %+v", s.Properties)
	}
	leafs := s.Properties["leafs"]["items"].(map[string]any)["properties"].(map[string]any)
	if leafs["n"].(map[string]any)["minimum"] != 1.0 || len(leafs["mode"].(map[string]any)["enum"].([]any)) != 2 {
		t.Errorf("leafs: %+v", leafs)
	}
}

// What a package sets before the document is read is a default as well, and is shown as one.
func TestValuesSetBeforeAreDefaults(t *testing.T) {
	var b strings.Builder
	if err := conf.Reference(&b, page{Wait: 90 * time.Minute, Leafs: nil}, "Page"); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "| `wait` | duration | `90m` |") {
		t.Errorf("got\n%s", b.String())
	}
	p := page{Wait: time.Minute}
	if problems := conf.Decode("f", []byte("host: a"), &p); len(problems) > 0 || p.Wait != time.Minute || p.Size != 25<<20 {
		t.Errorf("%+v %v", p, problems)
	}
}

// A default that a document could not hold would be found by a user; this finds it first.
func TestDefaultsAreDecoded(t *testing.T) {
	var p page
	if problems := conf.Decode("", nil, &p); len(problems) != 1 || problems[0].Message != `missing key "host"` {
		t.Errorf("problems: %v", problems)
	}
	if p.Wait != 5*time.Minute || p.Size != 25<<20 || len(p.Words) != 2 {
		t.Errorf("defaults: %+v", p)
	}
}
