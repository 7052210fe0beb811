package policy

import (
	"iter"
	"slices"
	"strings"

	"gatepost/rules/conf"
)

// A Preview is what a new entry of access would have meant for the past.
type Preview struct {
	Seen        int          `json:"seen"`     // messages and attempts looked at
	Messages    int          `json:"messages"` // messages that the entry would have decided
	Attempts    int          `json:"attempts"` // attempts refused before their content that it would have decided
	Differences []Difference `json:"differences"`
}

// previewAt is where an entry stands that is only tried.
const previewAt = "preview:1"

// With is p with one more entry of access, asked before all others. The text is an entry as a policy file has it ("deny:
// {sender: ["@x.example"]}") or plain words ("deny sender_domain x.example client 192.0.2.0/24"): allow or deny, then keys
// with their values, several with commas, and unsafe alone.
func (p *Policy) With(text string) (*Policy, []conf.Problem) {
	doc, problems := parseEntry(text)
	if len(problems) > 0 {
		return nil, problems
	}
	with := *p
	with.access = accessTable{}
	c := &compiler{file: "preview", p: &with}
	c.compileAccess([]entryDoc{doc})
	if len(c.problems) > 0 {
		return nil, conf.Sorted(c.problems)
	}
	with.access.entries[0].at = previewAt
	for _, e := range p.access.entries {
		moved := *e
		moved.order++
		with.access.entries = append(with.access.entries, &moved)
	}
	with.access = accessTable{entries: with.access.entries}
	with.access.index()
	return &with, nil
}

// entryKeys are the words that may stand before values; read-only.
var entryKeys = []string{"client", "helo", "sender", "sender_domain", "recipient", "country", "asn", "reason", "owner", "expires", "unsafe"}

// parseEntry reads an entry from a command line.
func parseEntry(text string) (entryDoc, []conf.Problem) {
	if !strings.Contains(text, "{") {
		words, problem := entryWords(text)
		if problem != nil {
			return entryDoc{}, []conf.Problem{*problem}
		}
		text = words
	}
	text = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(text), "- "))
	var doc entriesDoc
	problems := conf.Decode("preview", []byte("access:\n  - "+text+"\n"), &doc)
	if len(problems) == 0 && len(doc.Access) != 1 {
		problems = []conf.Problem{{Pos: conf.Pos{File: "preview"}, Message: "one entry is needed"}}
	}
	if len(problems) > 0 {
		return entryDoc{}, problems
	}
	return doc.Access[0], nil
}

// entryWords turns plain words into an entry of a file.
func entryWords(text string) (string, *conf.Problem) {
	problem := func(message, hint string) (string, *conf.Problem) {
		return "", &conf.Problem{Pos: conf.Pos{File: "preview"}, Message: message, Hint: hint}
	}
	words := strings.Fields(text)
	if len(words) == 0 || words[0] != "allow" && words[0] != "deny" {
		return problem("an entry begins with allow or deny", "")
	}
	var b strings.Builder
	b.WriteString(words[0] + ": {")
	for i := 1; i < len(words); i++ {
		key := words[i]
		if !slices.Contains(entryKeys, key) {
			return problem(quoted(key)+" is no key of an entry; they are "+strings.Join(entryKeys, ", "), conf.Suggest(key, entryKeys))
		}
		if i > 1 {
			b.WriteString(", ")
		}
		if key == "unsafe" {
			b.WriteString("unsafe: true")
			continue
		}
		if i++; i == len(words) {
			return problem(key+" needs a value", "")
		}
		values := strings.Split(words[i], ",")
		if key == "sender_domain" {
			key = "sender"
			for k, v := range values {
				values[k] = "@" + v
			}
		}
		switch key {
		case "reason", "owner", "expires":
			b.WriteString(key + ": " + quote(words[i]))
		default:
			b.WriteString(key + ": " + quote(values))
		}
	}
	return b.String() + "}", nil
}

// Preview tells what an entry, as With takes it, would have decided of the past, and what would have come out otherwise.
// Attempts that were refused before their content have no Report and no Was.
func (p *Policy) Preview(past iter.Seq[Past], text string) (Preview, []conf.Problem) {
	out := Preview{Differences: []Difference{}}
	with, problems := p.With(text)
	if len(problems) > 0 {
		return out, problems
	}
	matched := func(yield func(Past) bool) {
		for x := range past {
			out.Seen++
			if with.EntryFor(x.Envelope, x.Report) != previewAt {
				continue
			}
			if x.Report == nil || x.Was == nil {
				out.Attempts++
				continue
			}
			out.Messages++
			if !yield(x) {
				return
			}
		}
	}
	out.Differences = Replay(matched, with).Differences
	return out, nil
}
