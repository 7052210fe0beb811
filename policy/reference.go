package policy

import (
	"fmt"
	"io"
	"strings"

	"cel.dev/cel-go/cel"

	"gatepost/rules/conf"
)

// Schema is the JSON Schema of a policy file, for editors.
func Schema() []byte { return conf.Schema(Document{}) }

// Reference writes the page that explains every key, fact and function, and what each finding of o.Codes weighs as shipped.
func Reference(w io.Writer, o Options) error {
	if err := conf.Reference(w, Document{}, "policy.yaml"); err != nil {
		return err
	}
	p, problems := Parse("", nil, o)
	if len(problems) > 0 {
		return problems[0]
	}
	var b strings.Builder
	b.WriteString("\n## Facts\n\nWhat `when` and the matchers read. A fact that nobody could establish is unknown: an expression that needs it is not decided, " +
		"which the explanation says, and `has_fact()` tells it apart.\n\n| fact | type | meaning |\n|---|---|---|\n")
	for _, f := range factTypes {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.name, celName(f.kind), f.doc)
	}
	for _, object := range [...]string{"attachment", "url"} {
		fmt.Fprintf(&b, "\nAn element of `%ss` has:\n\n| field | type |\n|---|---|\n", object)
		for _, m := range members[object] {
			fmt.Fprintf(&b, "| `%s` | %s |\n", m.name, celName(m.kind))
		}
	}
	b.WriteString(functions)
	b.WriteString("\n## Findings\n\n| code | points | class | meaning |\n|---|---|---|---|\n")
	for _, c := range o.Codes {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", c.Name, p.weightOf(c.Name).points, p.classOf(c.Name), strings.ReplaceAll(c.Meaning, "|", `\|`))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// functions explains what expressions may call.
const functions = `
## Functions

Expressions are CEL (the Common Expression Language): ` + "`&& || ! == != < <= > >= in ? :`" + `, text with ` + "`contains`, `startsWith`, `endsWith`, `matches`, `lowerAscii`" + `,
lists with ` + "`exists`, `all`, `filter`, `map`, `size`" + `, times with ` + "`getHours`, `getDayOfWeek`, `duration`" + ` and the rest of its standard library and text extension.
The pattern of ` + "`matches`" + ` must stand in quotes and stay under 2,000 instructions. An expression that costs too much is refused when the policy is loaded.

| call | meaning |
|---|---|
| ` + "`has(\"dmarc.fail\")`" + ` | a finding of that code was made; ` + "`has(\"links.*\")`" + ` covers a family |
| ` + "`has_fact(auth.dmarc)`" + ` | the fact is known |
| ` + "`in_list(message.from, \"partners\")`" + ` | the value stands in the list |
| ` + "`message.header(\"List-Id\")`" + ` | the first field of that name, decoded; empty if there is none |
| ` + "`message.headers(\"Received\")`" + ` | all fields of that name |
`

// celName is a type in plain words.
func celName(t *cel.Type) string {
	switch t.String() {
	case "list(string)":
		return "list of texts"
	case "list(attachment)", "list(url)":
		return "list"
	case "string":
		return "text"
	case "int", "double":
		return "number"
	case "bool":
		return "true or false"
	case "timestamp", "google.protobuf.Timestamp":
		return "time"
	}
	return t.String()
}

// The words of types that decode themselves, for the reference, and their schemas, for editors.

// ConfType says what a document may write.
func (item) ConfType() string { return "text" }

// ConfSchema says what a document may write.
func (item) ConfSchema() map[string]any {
	return map[string]any{"type": []string{"string", "number", "boolean"}}
}

// ConfType says what a document may write.
func (items) ConfType() string { return "text or list of texts" }

// ConfSchema says what a document may write.
func (items) ConfSchema() map[string]any {
	one := item{}.ConfSchema()
	return map[string]any{"anyOf": []any{one, map[string]any{"type": "array", "items": one}}}
}

// ConfType says what a document may write.
func (dateDoc) ConfType() string { return "date or RFC 3339 time" }

// ConfSchema says what a document may write.
func (dateDoc) ConfSchema() map[string]any {
	return map[string]any{"type": "string", "pattern": `^[0-9]{4}-[0-9]{2}-[0-9]{2}`}
}

// ConfType says what a document may write.
func (thresholdDoc) ConfType() string { return "points or `off`" }

// ConfSchema says what a document may write.
func (thresholdDoc) ConfSchema() map[string]any {
	return map[string]any{"anyOf": []any{map[string]any{"type": "number"}, map[string]any{"enum": []any{"off", false}}}}
}

// ConfType says what a document may write.
func (weightsDoc) ConfType() string { return "mapping of finding codes to points" }

// ConfSchema says what a document may write.
func (weightsDoc) ConfSchema() map[string]any {
	return map[string]any{"type": []string{"object", "null"}, "additionalProperties": map[string]any{"type": "number"}}
}

// ConfType says what a document may write.
func (classesDoc) ConfType() string { return "mapping of classes to finding codes" }

// ConfSchema says what a document may write.
func (classesDoc) ConfSchema() map[string]any {
	properties := map[string]any{}
	for _, class := range []Class{Malware, Phish, Spam, ByRule} {
		properties[string(class)] = items{}.ConfSchema()
	}
	return map[string]any{"type": []string{"object", "null"}, "properties": properties, "additionalProperties": false}
}

// ConfType says what a document may write.
func (failuresDoc) ConfType() string { return "mapping of filters to actions" }

// ConfSchema says what a document may write.
func (failuresDoc) ConfSchema() map[string]any {
	return map[string]any{"type": []string{"object", "null"}, "additionalProperties": map[string]any{"enum": []any{"accept", "tag", "quarantine", "defer", "reject"}}}
}

// ConfType says what a document may write.
func (thenDoc) ConfType() string { return "action, addition, or a list of these" }

// ConfSchema says what a document may write.
func (thenDoc) ConfSchema() map[string]any {
	var actions []any
	for _, a := range decidingActions {
		actions = append(actions, a)
	}
	text := map[string]any{"type": "string"}
	one := map[string]any{"anyOf": []any{map[string]any{"enum": actions}, map[string]any{
		"type": "object", "additionalProperties": false, "properties": map[string]any{
			"score": map[string]any{"type": "number"}, "at_least": map[string]any{"enum": []any{"tag", "quarantine", "defer", "reject"}},
			"redirect": text, "bcc": items{}.ConfSchema(), "strip": stripSchema(),
			"add_header": map[string]any{"anyOf": []any{text, map[string]any{"type": "object", "additionalProperties": text}}}}}}}
	return map[string]any{"anyOf": []any{one, map[string]any{"type": "array", "items": one}}}
}

// stripSchema is one word or a list of words.
func stripSchema() map[string]any {
	word := map[string]any{"enum": []any{StripAttachments, StripDangerous, StripLinks}}
	return map[string]any{"anyOf": []any{word, map[string]any{"type": "array", "items": word}}}
}
