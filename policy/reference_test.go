package policy_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"gatepost/filters/catalog"
	"gatepost/filters/content"
	"gatepost/policy"
	"gatepost/rules"
)

// The generated documents are in step with the code: run go test ./policy -update after a change.
func TestTheGeneratedDocumentsAreInStep(t *testing.T) {
	shipped, problems := rules.Load(nil, nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var page bytes.Buffer
	if err := policy.Reference(&page, policy.Options{Codes: append(catalog.Codes(), content.RuleCodes(shipped)...), Weights: catalog.Weights(shipped)}); err != nil {
		t.Fatal(err)
	}
	if !json.Valid(policy.Schema()) {
		t.Error("the schema is not JSON")
	}
	for name, got := range map[string][]byte{"policy.md": page.Bytes(), "policy.schema.json": policy.Schema()} {
		file := filepath.Join("..", "docs", name)
		if flag.Lookup("update").Value.String() == "true" {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("docs/%s is not what the code says: run go test ./policy -update", name)
		}
	}
}
