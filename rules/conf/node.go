package conf

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"
)

// A Kind is the shape of a Node.
type Kind int

// The shapes. A value left empty is a Scalar for which IsNull holds.
const (
	Scalar Kind = iota
	Sequence
	Mapping
)

// A Node is one value of a document, for what decodes itself or is decoded later. The zero Node stands for a value
// that is absent. Nodes are not changed after they were read and may be shared.
type Node struct {
	f    *source
	n    *yaml.Node
	name string // the key that the value stands under, for messages
}

// A Pair is one key of a mapping with its value.
type Pair struct{ Key, Value Node }

// Pos is where the node begins.
func (n Node) Pos() Pos {
	p := Pos{}
	if n.f != nil {
		p.File = n.f.name
	}
	if n.n != nil {
		p.Line, p.Col = n.n.Line, n.n.Column
	}
	return p
}

// Dir is the directory of the document's file, which relative paths start from.
func (n Node) Dir() string {
	if n.f == nil || n.f.name == "" {
		return "."
	}
	return filepath.Dir(n.f.name)
}

// Name is the key that the node stands under, "" for a document.
func (n Node) Name() string { return n.name }

// Kind is the node's shape.
func (n Node) Kind() Kind {
	if n.n != nil {
		switch n.n.Kind {
		case yaml.MappingNode:
			return Mapping
		case yaml.SequenceNode:
			return Sequence
		}
	}
	return Scalar
}

// IsNull reports whether there is no value: the node is absent, or empty, or null.
func (n Node) IsNull() bool {
	return n.n == nil || n.n.Kind == yaml.ScalarNode && n.n.Tag == "!!null" && !n.Quoted()
}

// isBool reports whether a plain true or false stands here.
func (n Node) isBool() bool {
	return n.n != nil && n.n.Kind == yaml.ScalarNode && n.n.Tag == "!!bool" && !n.Quoted()
}

// absent reports whether nothing stands in the document for the node.
func (n Node) absent() bool { return n.n == nil || n.n.Line == 0 }

// refused reports whether the node was already reported and cannot be used.
func (n Node) refused() bool { return n.n != nil && n.n.Kind == yaml.AliasNode }

// Quoted reports whether a scalar is written in quotes or as a block, so that it can only be text.
func (n Node) Quoted() bool {
	const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	return n.n != nil && n.n.Style&quoted != 0
}

// String is a scalar as it is written, without its quotes; "" for other kinds.
func (n Node) String() string {
	if n.n == nil || n.n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.n.Value
}

// Pairs are the keys and values of a mapping, in order; none for other kinds.
func (n Node) Pairs() []Pair {
	if n.Kind() != Mapping {
		return nil
	}
	out := make([]Pair, 0, len(n.n.Content)/2)
	for i := 0; i+1 < len(n.n.Content); i += 2 {
		key := n.n.Content[i]
		if key.Kind != yaml.ScalarNode {
			continue // examine has refused it
		}
		out = append(out, Pair{Node{n.f, key, n.name}, Node{n.f, n.n.Content[i+1], key.Value}})
	}
	return out
}

// Items are the values of a sequence, in order; none for other kinds.
func (n Node) Items() []Node {
	if n.Kind() != Sequence {
		return nil
	}
	out := make([]Node, 0, len(n.n.Content))
	for _, c := range n.n.Content {
		out = append(out, Node{n.f, c, n.name})
	}
	return out
}

// Key is the value under a key of a mapping; the zero Node, with the mapping's position, if it is not there.
func (n Node) Key(name string) Node {
	for _, p := range n.Pairs() {
		if p.Key.String() == name {
			return p.Value
		}
	}
	return Node{f: n.f, name: name}
}

// Item is one value of a sequence; a node that has only a position if there are fewer.
func (n Node) Item(i int) Node {
	if items := n.Items(); i < len(items) {
		return items[i]
	}
	return n
}

// Cut takes one key out of a mapping: what it held, and a mapping without it. The value is absent if the key is.
func (n Node) Cut(name string) (value, rest Node) {
	if n.Kind() != Mapping {
		return Node{f: n.f, name: name}, n
	}
	left := *n.n
	left.Content = nil
	for i := 0; i+1 < len(n.n.Content); i += 2 {
		if n.n.Content[i].Value == name {
			value = Node{n.f, n.n.Content[i+1], name}
			continue
		}
		left.Content = append(left.Content, n.n.Content[i], n.n.Content[i+1])
	}
	if value.n == nil {
		value = Node{f: n.f, name: name}
	}
	return value, Node{n.f, &left, n.name}
}

// Decode decodes the node as Decode does a document. An absent node leaves the defaults.
func (n Node) Decode(into any) []Problem {
	d := &decoder{}
	d.root(n, into)
	return Sorted(d.problems)
}

// Problemf is a Problem at the node's position; the message begins with the key that the node stands under.
func (n Node) Problemf(format string, args ...any) Problem {
	msg := fmt.Sprintf(format, args...)
	if n.name != "" {
		msg = bare(n.name) + ": " + msg
	}
	return Problem{Pos: n.Pos(), Message: msg}
}

// Unknown is a Problem for the key of a mapping that nobody knows, with the nearest of those that are known.
func (n Node) Unknown(key Node, known []string) Problem { return unknownKey(n, key, known) }

// expected says that something else should stand here.
func (n Node) expected(what string) Problem {
	return n.Problemf("expected %s, found %s", what, n.describe())
}

// in is " in NAME" where the node has a name.
func (n Node) in() string {
	if n.name == "" {
		return ""
	}
	return " in " + bare(n.name)
}

// describe says what stands here.
func (n Node) describe() string {
	switch n.Kind() {
	case Mapping:
		return "a mapping"
	case Sequence:
		return "a list"
	}
	switch {
	case n.IsNull():
		return "nothing"
	case n.Quoted() || n.n.Tag == "!!str":
		return quote(n.String())
	}
	return bare(n.String())
}

const maxQuoted = 40 // runes of the document that a message repeats

func quote(s string) string { return strconv.Quote(clip(s)) }

func clip(s string) string {
	r := []rune(strings.ToValidUTF8(s, "?"))
	if len(r) > maxQuoted {
		return string(r[:maxQuoted]) + "…"
	}
	return string(r)
}

// bare is text for a message without quotes around it; what cannot be printed is escaped.
func bare(s string) string {
	s = clip(s)
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		q := strconv.Quote(s)
		return q[1 : len(q)-1]
	}
	return s
}
