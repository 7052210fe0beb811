package admin

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatepost/filters"
	"gatepost/gateway/journal"
	"gatepost/policy"
)

// A result is one judged message in the contract's result form, as the pages show it.
type result struct {
	ID          string               `json:"id"`
	Time        time.Time            `json:"time"`
	Action      policy.Action        `json:"action"`
	Class       policy.Class         `json:"class"`
	Score       policy.Points        `json:"score"`
	Reply       policy.Reply         `json:"reply"`
	Recipients  []policy.Verdict     `json:"recipients"`
	Decided     []string             `json:"decided"`
	WouldPass   []string             `json:"would_pass_if"`
	Monitored   []policy.Reason      `json:"monitored"`
	Findings    []weighed            `json:"findings"`
	NotRun      []filters.Failure    `json:"not_run"`
	Auth        *filters.Auth        `json:"auth"`
	Attachments []filters.Attachment `json:"attachments"`
	URLs        []json.RawMessage    `json:"urls"`
	Defects     []json.RawMessage    `json:"defects"`
	Timings     map[string]int64     `json:"timings_us"`
}

// A weighed finding carries the weight that policy gave it.
type weighed struct {
	filters.Finding
	Weight policy.Points `json:"weight"`
}

func readResult(b []byte) (*result, error) {
	var r result
	if len(b) == 0 {
		return &r, nil
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("read result: %w", err)
	}
	return &r, nil
}

// resultOf makes the same of a journal record; nil if the record judged nothing.
func resultOf(rec *journal.Record) *result {
	if rec.Decision == nil {
		return nil
	}
	dec := rec.Decision
	r := &result{ID: rec.ID, Time: rec.Time, Action: dec.Action, Class: dec.Class, Score: dec.Score, Reply: rec.Reply,
		Recipients: dec.Recipients, Decided: dec.Decided, WouldPass: dec.WouldPass, Monitored: dec.Monitored, Timings: rec.Micros}
	if rec.Report == nil {
		return r
	}
	weights := make(map[string]policy.Points)
	for _, v := range dec.Recipients {
		for _, b := range v.Because {
			weights[b.Code] = b.Weight
		}
	}
	for _, f := range rec.Report.Findings {
		w := weighed{Finding: f, Weight: weights[f.Code]}
		delete(weights, f.Code) // once only, so that the shown weights add up
		r.Findings = append(r.Findings, w)
	}
	r.NotRun, r.Auth, r.Attachments = rec.Report.Failures, rec.Report.Auth, rec.Report.Attachments
	for _, u := range rec.Report.URLs {
		if b, err := json.Marshal(u); err == nil {
			r.URLs = append(r.URLs, b)
		}
	}
	return r
}

// only removes every recipient that is not in mine, so that nobody learns who else was written to (O-06).
func (r *result) only(mine []string) {
	r.Recipients = slices.DeleteFunc(slices.Clone(r.Recipients), func(v policy.Verdict) bool {
		return !owns(mine, v.Address)
	})
}

// A step is one line of the explanation: what weighed how much, who says so, and what proves it.
type step struct {
	policy.Reason
	Findings []filters.Finding // with proof
	Decided  bool              // without it the action would differ
	Share    int               // of the score, in percent, at most 100
	Sign     string            // of the weight: "up", "down" or "none"
}

// steps orders the reasons of one verdict, heaviest first, and hangs the findings under them.
func (r *result) steps(because []policy.Reason) []step {
	var most policy.Points = 1
	for _, b := range because {
		most = max(most, b.Weight, -b.Weight)
	}
	out := make([]step, 0, len(because))
	for _, b := range because {
		s := step{Reason: b, Sign: "none", Share: int(max(b.Weight, -b.Weight) * 100 / most)}
		switch {
		case b.Weight > 0:
			s.Sign = "up"
		case b.Weight < 0:
			s.Sign = "down"
		}
		s.Decided = b.Code != "" && slices.Contains(r.Decided, b.Code) || b.Rule != "" && slices.Contains(r.Decided, b.Rule)
		for _, f := range r.Findings {
			if f.Code == b.Code && b.Code != "" {
				s.Findings = append(s.Findings, f.Finding)
			}
		}
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(x, y step) int { return int(max(y.Weight, -y.Weight) - max(x.Weight, -x.Weight)) })
	return out
}

// others are the findings that no reason of because names: seen, and weighing nothing.
func (r *result) others(because []policy.Reason) []filters.Finding {
	var out []filters.Finding
	for _, f := range r.Findings {
		if !slices.ContainsFunc(because, func(b policy.Reason) bool { return b.Code == f.Code }) {
			out = append(out, f.Finding)
		}
	}
	return out
}

// A link is one address that the message leads to, with the host set apart so that an eye finds it (N-11).
type link struct{ Before, Host, After, Text string }

func (r *result) links(limit int) []link {
	var out []link
	for _, raw := range r.URLs {
		var u filters.URL
		if json.Unmarshal(raw, &u) != nil && json.Unmarshal(raw, &u.URL) != nil {
			continue
		}
		if len(out) == limit {
			break
		}
		l := splitURL(u.URL)
		l.Text = u.Text
		out = append(out, l)
	}
	return out
}

// splitURL sets the host of a URL apart: after the scheme and any user name, before port, path and query.
func splitURL(s string) link {
	s = clip(s, 400)
	i := strings.Index(s, "://")
	if i < 0 {
		return link{Before: s}
	}
	i += len("://")
	end := len(s)
	if n := strings.IndexAny(s[i:], `/?#\`); n >= 0 {
		end = i + n
	}
	if at := strings.LastIndexByte(s[i:end], '@'); at >= 0 {
		i += at + 1
	}
	hostEnd := end
	if s[i:end] != "" && s[i] == '[' {
		if n := strings.IndexByte(s[i:end], ']'); n >= 0 {
			hostEnd = i + n + 1
		}
	} else if n := strings.IndexByte(s[i:end], ':'); n >= 0 {
		hostEnd = i + n
	}
	return link{Before: s[:i], Host: s[i:hostEnd], After: s[hostEnd:]}
}

// clip shortens s to max bytes at a rune boundary and says so.
func clip(s string, max int) string {
	if len(s) <= max {
		return s
	}
	for max > 0 && s[max]&0xC0 == 0x80 {
		max--
	}
	return s[:max] + "…"
}

// elide leaves the middle of an address out where it is longer than a number of runes, and keeps its end: that is where
// the domain is that counts, and an attacker makes the beginning look like another.
func elide(s string, most int) string {
	runes := []rune(s)
	if len(runes) <= most {
		return s
	}
	head := (most - 1) / 3
	return string(runes[:head]) + "…" + string(runes[len(runes)-(most-1-head):])
}

// defects are the ways in which the message breaks the standards, one sentence each.
func (r *result) defects() []string {
	var out []string
	for _, raw := range r.Defects {
		var s string
		var d struct{ Code, Text string }
		if json.Unmarshal(raw, &s) == nil {
			out = append(out, s)
		} else if json.Unmarshal(raw, &d) == nil {
			out = append(out, strings.TrimSpace(d.Text+" ("+d.Code+")"))
		}
	}
	return out
}
