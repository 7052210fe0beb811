package conf

import (
	"encoding"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// A use says what a struct field is there for.
type use int

const (
	useKey  use = iota // it holds a key's value
	usePos             // it receives the position of the mapping
	useNode            // it receives the mapping itself
)

// A field is one key that a struct knows.
type field struct {
	use      use
	name     string
	index    []int
	typ      reflect.Type
	doc      string
	def      string
	enum     []string
	required bool
	min, max string
}

var (
	typeNode     = reflect.TypeFor[Node]()
	typePos      = reflect.TypeFor[Pos]()
	typeDuration = reflect.TypeFor[time.Duration]()
	typePrefix   = reflect.TypeFor[netip.Prefix]()
	typeAddr     = reflect.TypeFor[netip.Addr]()
	typeTime     = reflect.TypeFor[time.Time]()
	typeUnm      = reflect.TypeFor[Unmarshaler]()
	typeText     = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// fieldsOf lists what a struct type reads, in the order of its declaration.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		sf := t.Field(i)
		tag, tagged := sf.Tag.Lookup("yaml")
		name, option, _ := strings.Cut(tag, ",")
		switch {
		case sf.Anonymous && sf.Type.Kind() == reflect.Struct && name == "":
			for _, f := range fieldsOf(sf.Type) {
				f.index = append([]int{i}, f.index...)
				out = append(out, f)
			}
		case !tagged || !sf.IsExported() || name == "-":
		case option == "pos" && sf.Type == typePos:
			out = append(out, field{use: usePos, index: []int{i}})
		case option == "node" && sf.Type == typeNode:
			out = append(out, field{use: useNode, index: []int{i}})
		case name != "":
			out = append(out, newField(sf, name))
		}
	}
	return out
}

func newField(sf reflect.StructField, name string) field {
	f := field{
		name: name, index: []int{sf.Index[0]}, typ: sf.Type,
		doc: sf.Tag.Get("doc"), def: sf.Tag.Get("default"),
		min: sf.Tag.Get("min"), max: sf.Tag.Get("max"),
		required: sf.Tag.Get("required") == "true",
	}
	if e := sf.Tag.Get("enum"); e != "" {
		f.enum = strings.Split(e, "|")
	}
	return f
}

// names are the keys that fields read.
func names(fields []field) []string {
	var out []string
	for _, f := range fields {
		if f.use == useKey {
			out = append(out, f.name)
		}
	}
	return out
}

// isLeaf reports whether values of a type are decoded as a whole, so that the type has no keys to default.
func isLeaf(t reflect.Type) bool {
	switch t {
	case typeNode, typePos, typeDuration, typePrefix, typeAddr, typeTime:
		return true
	}
	p := reflect.PointerTo(t)
	return p.Implements(typeUnm) || p.Implements(typeText) || t.Kind() != reflect.Struct
}

// defaultNode is the default as a node of the mapping n. A default of text is taken as it is; any other is YAML.
func (f field) defaultNode(n Node) Node {
	if f.typ.Kind() == reflect.String {
		return Node{f: n.f, name: f.name, n: &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: f.def,
			Line: n.Pos().Line, Column: n.Pos().Col}}
	}
	root, _ := parse("", []byte(f.def))
	place(root.n, n.Pos())
	root.f, root.name = n.f, f.name
	return root
}

// place gives all nodes of a default the position of the mapping that did not set it.
func place(n *yaml.Node, at Pos) {
	n.Line, n.Column = at.Line, at.Col
	for _, c := range n.Content {
		place(c, at)
	}
}

// check holds a decoded value against the field's enum, min and max.
func (f field) check(n Node, v reflect.Value) []Problem {
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() == reflect.Slice && n.Kind() == Sequence {
		var out []Problem
		for i, item := range n.Items() {
			out = append(out, f.check(item, v.Index(i))...)
		}
		return out
	}
	if f.required && v.Kind() == reflect.String && v.String() == "" {
		return []Problem{n.Problemf("must not be empty")}
	}
	if len(f.enum) > 0 && v.Kind() == reflect.String {
		return f.checkEnum(n, v.String())
	}
	if f.min != "" && compareTo(v, f.min) < 0 {
		return []Problem{n.Problemf("%s is too little; the least is %s", n.String(), f.min)}
	}
	if f.max != "" && compareTo(v, f.max) > 0 {
		return []Problem{n.Problemf("%s is too much; the most is %s", n.String(), f.max)}
	}
	return nil
}

func (f field) checkEnum(n Node, got string) []Problem {
	for _, e := range f.enum {
		if got == e {
			return nil
		}
	}
	found := quote(got)
	if n.isBool() {
		found = got
	}
	p := n.Problemf("expected %s, found %s", oneOf(f.enum), found)
	p.Hint = Suggest(got, f.enum)
	return []Problem{p}
}

// compareTo compares the number v with a bound that is written as a document would write it. What is no number is
// within every bound.
func compareTo(v reflect.Value, bound string) int {
	b := reflect.New(v.Type()).Elem()
	root, _ := parse("", []byte(bound))
	new(decoder).value(root, b)
	switch {
	case v.CanInt():
		return compare(v.Int(), b.Int())
	case v.CanUint():
		return compare(v.Uint(), b.Uint())
	case v.CanFloat():
		return compare(v.Float(), b.Float())
	}
	return 0
}

func compare[T int64 | uint64 | float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func oneOf(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
