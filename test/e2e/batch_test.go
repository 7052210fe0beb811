package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/test/harness"
)

func TestABatchGivesTheSameBytesWhateverTheWorkers(t *testing.T) {
	w := harness.Prepare(t, harness.Setup{Zone: friend})
	var batch bytes.Buffer
	paths := files(t, harness.Corpus(t, "spamham-spamassassin"), "")
	for _, path := range paths {
		line, err := json.Marshal(map[string]any{"file": path, "client_ip": "192.0.2.7", "helo": "h.example", "mail_from": "ann@friend.example", "rcpt": []string{"bob@example.com"}, "time": "2026-11-23T09:00:00Z"})
		if err != nil {
			t.Fatal(err)
		}
		batch.Write(append(line, '\n'))
	}
	in := filepath.Join(w.Dir, "batch.jsonl")
	if err := os.WriteFile(in, batch.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	var first string
	for _, workers := range []string{"1", "2", "5", "2"} {
		out, code := w.Command("scan", "--batch", in, "--workers", workers)
		if code != 0 {
			t.Fatalf("%s workers: exit %d", workers, code)
		}
		if first == "" {
			first = out
		}
		if out != first {
			t.Errorf("%s workers give another result", workers)
		}
	}
	results := strings.Split(strings.TrimSuffix(first, "\n"), "\n")
	if len(results) != len(paths) {
		t.Fatalf("%d results for %d messages", len(results), len(paths))
	}
	for i, line := range results {
		var r struct {
			ID       string
			Action   string
			Score    json.Number
			Findings []struct{ Weight json.Number }
			Auth     struct{ DMARC struct{ Result string } }
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil || r.Action == "" || r.Auth.DMARC.Result == "" {
			t.Fatalf("%s: %v\n%s", paths[i], err, line)
		}
	}
}
