package gateway

import (
	"testing"

	"gatepost/filters"
	"gatepost/gateway/strip"
	"gatepost/policy"
)

func TestWhatWasFoundInTheWholeMessageMayBeInAnyFile(t *testing.T) {
	for _, c := range []struct {
		filter, code, where string
		weight              policy.Points
		part, all           bool
	}{
		{"attach", "attach.executable", "part 2", 8, true, false},
		{"milter", "milter.reject.clamav", "milter clamav", 8, false, true},
		{"milter", "milter.change.dkim", "milter dkim", 0, false, false},        // which counts for nothing
		{"rspamd", "rspamd.reject", "rspamd http://127.0.0.1", 7, false, false}, // which judges the letter, not its files
	} {
		report := filters.Report{Facts: filters.Facts{Findings: []filters.Finding{{Filter: c.filter, Code: c.code, Proof: []filters.Evidence{{Where: c.where, What: "x"}}}}}}
		j := &job{in: &Inspection{Report: report}}
		o := strip.Order{Parts: map[string]string{}}
		j.dangerous(&policy.Verdict{Because: []policy.Reason{{Code: c.code, Weight: c.weight}}}, &o)
		if (len(o.Parts) > 0) != c.part || o.Attachments != c.all {
			t.Errorf("%s: %+v", c.code, o)
		}
	}
}
