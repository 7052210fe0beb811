package conf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

const (
	maxBytes = 1 << 20 // of a document
	maxDepth = 64      // of values within values
)

// A source is the file that nodes came from.
type source struct{ name string }

// parse reads one document. Where it cannot be read at all, the Node is absent and there is a problem.
func parse(file string, data []byte) (Node, []Problem) {
	src := &source{name: file}
	if len(data) > maxBytes {
		return Node{f: src}, []Problem{{Pos: Pos{File: file}, Message: fmt.Sprintf("the file has %d bytes; the most is %d", len(data), maxBytes)}}
	}
	if p := badCharacter(file, data); p != nil {
		return Node{f: src}, []Problem{*p}
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil {
		return Node{f: src}, []Problem{{Pos: Pos{File: file}, Message: err.Error()}}
	}
	var doc, second yaml.Node
	if err := loader.Load(&doc); errors.Is(err, io.EOF) {
		return Node{f: src, n: &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: 1, Column: 1}}, nil
	} else if err != nil {
		return Node{f: src}, []Problem{syntax(file, data, err)}
	}
	root := Node{f: src, n: content(&doc)}
	var problems []Problem
	switch err := loader.Load(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		problems = append(problems, syntax(file, data, err))
	default:
		problems = append(problems, Problem{Pos: Node{f: src, n: content(&second)}.Pos(),
			Message: "a second document begins here; a file holds one"})
	}
	return root, append(problems, examine(root, 0)...)
}

func content(doc *yaml.Node) *yaml.Node {
	if doc.Kind == yaml.DocumentNode && len(doc.Content) > 0 {
		return doc.Content[0]
	}
	return doc
}

// examine refuses what YAML allows and a strict document does not: anchors, aliases, tags, merge keys, keys that are not
// text, keys given twice, and depth.
func examine(n Node, depth int) []Problem {
	if depth > maxDepth {
		n.n.Kind = yaml.AliasNode // not looked into
		return []Problem{{Pos: n.Pos(), Message: fmt.Sprintf("values are nested more than %d deep", maxDepth)}}
	}
	var out []Problem
	switch {
	case n.n.Kind == yaml.AliasNode:
		return []Problem{{Pos: n.Pos(), Message: star(n.n.Value)}}
	case n.n.Anchor != "":
		out = append(out, Problem{Pos: n.Pos(), Message: fmt.Sprintf("anchors (&%s) are not supported; put text that begins with & in quotes", bare(n.n.Anchor))})
	case n.n.Style&yaml.TaggedStyle != 0:
		out = append(out, Problem{Pos: n.Pos(), Message: fmt.Sprintf("tags (%s) are not supported; put text that begins with ! in quotes", bare(n.n.Tag))})
	}
	for _, item := range n.Items() {
		out = append(out, examine(item, depth+1)...)
	}
	return append(out, examineKeys(n, depth)...)
}

func examineKeys(n Node, depth int) []Problem {
	var out []Problem
	lines := make(map[string]int)
	for i := 0; n.Kind() == Mapping && i+1 < len(n.n.Content); i += 2 {
		key, value := Node{f: n.f, n: n.n.Content[i]}, Node{f: n.f, n: n.n.Content[i+1]}
		switch first, twice := lines[key.n.Value]; {
		case key.n.Kind != yaml.ScalarNode:
			out = append(out, Problem{Pos: key.Pos(), Message: "a key must be text"})
			out = append(out, examine(key, depth+1)...)
		case key.n.Tag == "!!merge":
			out = append(out, Problem{Pos: key.Pos(), Message: "merge keys (<<) are not supported"})
			key.n.Kind = yaml.AliasNode
		case twice:
			out = append(out, Problem{Pos: key.Pos(), Message: fmt.Sprintf("key %s was already given at line %d", quote(key.n.Value), first)})
		default:
			lines[key.n.Value] = key.n.Line
			out = append(out, examine(key, depth+1)...)
		}
		out = append(out, examine(value, depth+1)...)
	}
	return out
}

// badCharacter finds what a text file has no use for, and what makes a reviewer see another text than the program:
// bytes that are not UTF-8, control characters, odd line ends and marks that change the direction of writing.
func badCharacter(file string, data []byte) *Problem {
	line, col := 1, 1
	at := func(format string, args ...any) *Problem {
		return &Problem{Pos: Pos{file, line, col}, Message: fmt.Sprintf(format, args...)}
	}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return at("the file is UTF-16; save it as UTF-8")
	}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return at("byte 0x%02x is not UTF-8", data[i])
		case r == '\r' && !(i+1 < len(data) && data[i+1] == '\n'):
			return at("a carriage return without a line feed")
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r >= 0x7f && r < 0xa0, r == 0x2028, r == 0x2029:
			return at("control character U+%04X; in double quotes write it as \\u%04x", r, r)
		case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return at("U+%04X changes the direction of writing; in double quotes write it as \\u%04x", r, r)
		case r == 0xfeff && i > 0:
			return at("a byte order mark inside the text")
		}
		i += size
		if col++; r == '\n' {
			line, col = line+1, 1
		}
	}
	return nil
}

// syntax puts an error of the YAML library into words that say what to do.
func syntax(file string, data []byte, err error) Problem {
	var e *yaml.LoadError
	if !errors.As(err, &e) {
		return Problem{Pos: Pos{File: file}, Message: strings.TrimPrefix(err.Error(), "yaml: ")}
	}
	pos := Pos{file, e.Mark.Line, e.Mark.Column}
	opened := fmt.Sprintf("line %d", e.ContextMark.Line)
	msg := e.Message
	here := lineAt(data, pos.Line)
	rest := from(here, pos.Col)
	switch {
	case strings.Contains(msg, "tab character"), strings.HasPrefix(rest, "\t"), msg == "did not find expected key" && strings.HasPrefix(here, "\t"):
		msg = "a tab cannot indent; use spaces"
	case strings.Contains(msg, "cannot start any token") && rest != "":
		r, _ := utf8.DecodeRuneInString(rest)
		msg = fmt.Sprintf("text that begins with %c must be in quotes", r)
	case strings.Contains(msg, "unknown anchor"):
		msg = star(strings.Trim(strings.TrimSuffix(strings.TrimPrefix(msg, "unknown anchor "), " referenced"), "'"))
	case strings.Contains(msg, "mapping values are not allowed"):
		msg = "\": \" is not expected here: look at the indentation and the line before, or put text that holds \": \" in quotes"
	case strings.Contains(msg, "expected ',' or"):
		msg = unclosed(msg, opened, here, pos.Col)
	case strings.Contains(msg, "unexpected end of stream"), strings.Contains(msg, "unexpected document indicator"):
		pos.Line, pos.Col = e.ContextMark.Line, e.ContextMark.Column
		msg = "the quote that opens here is never closed"
	case strings.Contains(msg, "expected key"), strings.Contains(msg, "expected '-' indicator"):
		msg = fmt.Sprintf("wrong indentation, or a missing \"- \" or key: this does not belong to what begins at %s", opened)
	case strings.Contains(msg, "could not find expected ':'"):
		pos.Line, pos.Col = e.ContextMark.Line, e.ContextMark.Column
		msg = "expected \":\" and a value after this key"
	case strings.Contains(msg, "unknown escape"):
		msg = "unknown escape in double quotes; in single quotes a backslash is itself"
	case strings.Contains(msg, "exceeded max depth"):
		msg = fmt.Sprintf("values are nested more than %d deep", maxDepth)
	case strings.Contains(msg, "expected node content"):
		msg = "a bracket is never closed, or a value is missing here"
	case strings.Contains(msg, "<document start>"):
		msg = "this does not belong to what stands before it; look at the indentation"
	}
	return Problem{Pos: pos, Message: msg}
}

func unclosed(msg, opened, here string, col int) string {
	before := here[:len(here)-len(from(here, col))]
	if strings.HasSuffix(before, "$") || strings.HasPrefix(from(here, col-1), "${") {
		return "inside { } or [ ] put ${…} in quotes: \"${NAME}\""
	}
	bracket := "]"
	if strings.Contains(msg, "'}'") {
		bracket = "}"
	}
	return fmt.Sprintf("expected \",\" or %q: the bracket opened at %s is not closed", bracket, opened)
}

// star explains the commonest slip of this trade: a pattern such as *.example.com without quotes.
func star(name string) string {
	return fmt.Sprintf("text that begins with * must be in quotes (%s); YAML aliases are not supported", quote("*"+name))
}

// lineAt is one line of data, counted from 1.
func lineAt(data []byte, line int) string {
	for ; line > 1; line-- {
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			return ""
		}
		data = data[i+1:]
	}
	l, _, _ := bytes.Cut(data, []byte("\n"))
	return string(l)
}

// from is the rest of a line from a column on, counted in runes from 1.
func from(line string, col int) string {
	for ; col > 1 && line != ""; col-- {
		_, size := utf8.DecodeRuneInString(line)
		line = line[size:]
	}
	return line
}
