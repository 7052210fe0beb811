package conf

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// An Unmarshaler decodes itself. It is called with the node of its value, which may be of any kind, and returns
// everything that is wrong with it.
type Unmarshaler interface {
	UnmarshalConf(n Node) []Problem
}

// A Checker is a struct that looks for contradictions in itself. It is asked after its mapping n was decoded without a
// problem.
type Checker interface {
	CheckConf(n Node) []Problem
}

// Decode reads the document data, which came from file, into the value that into points to. It returns every problem
// that it found, in the order of the document; into is of use only when there is none. What the document does not set
// keeps its value, or has the default of its tag if it was zero: an empty document leaves the defaults. The name of the file is used in positions, and its directory for relative paths.
func Decode(file string, data []byte, into any) []Problem {
	root, problems := parse(file, data)
	if root.n == nil && len(problems) > 0 {
		return problems
	}
	d := &decoder{problems: problems}
	d.root(root, into)
	return Sorted(d.problems)
}

// Sorted puts problems into the order of their positions and drops repetitions.
func Sorted(problems []Problem) []Problem {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		if c := strings.Compare(a.Pos.File, b.Pos.File); c != 0 {
			return c
		}
		if a.Pos.Line != b.Pos.Line {
			return a.Pos.Line - b.Pos.Line
		}
		return a.Pos.Col - b.Pos.Col
	})
	return slices.Compact(problems)
}

// A decoder collects the problems of one document.
type decoder struct {
	problems []Problem
}

func (d *decoder) add(p ...Problem) { d.problems = append(d.problems, p...) }

// root decodes the whole of a document or section; an absent one leaves the defaults.
func (d *decoder) root(n Node, into any) {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		d.add(Problem{Pos: n.Pos(), Message: fmt.Sprintf("cannot decode into a %T: a pointer is needed", into)})
		return
	}
	v = v.Elem()
	if n.IsNull() && !selfDecoding(v) && v.Type() != typeNode {
		if v.Kind() == reflect.Struct {
			d.structure(n, v)
		}
		return
	}
	d.value(n, v)
}

func selfDecoding(v reflect.Value) bool {
	_, ok := v.Addr().Interface().(Unmarshaler)
	return ok
}

// value decodes n into v, which can be set.
func (d *decoder) value(n Node, v reflect.Value) {
	if n.refused() {
		return
	}
	if v.Kind() == reflect.Pointer {
		if n.IsNull() {
			return
		}
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		d.value(n, v.Elem())
		return
	}
	if v.Type() == typeNode {
		v.Set(reflect.ValueOf(n))
		return
	}
	if u, ok := v.Addr().Interface().(Unmarshaler); ok {
		d.add(u.UnmarshalConf(n)...)
		return
	}
	if d.wellKnown(n, v) {
		return
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if s, ok := d.text(n); ok {
			if err := u.UnmarshalText([]byte(s)); err != nil {
				d.add(n.Problemf("%v", err))
			}
		}
		return
	}
	d.kind(n, v)
}

// kind decodes by the Go kind of v.
func (d *decoder) kind(n Node, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v)
	case reflect.Map:
		d.mapping(n, v)
	case reflect.Slice:
		d.sequence(n, v)
	case reflect.Interface:
		if v.NumMethod() == 0 {
			if plain := d.plain(n); plain != nil {
				v.Set(reflect.ValueOf(plain))
			}
			return
		}
		d.add(n.Problemf("cannot be decoded into a %s", v.Type()))
	default:
		d.scalar(n, v)
	}
}

// structure decodes a mapping into the struct v. An absent mapping leaves the defaults.
func (d *decoder) structure(n Node, v reflect.Value) {
	if !n.IsNull() && n.Kind() != Mapping {
		d.add(n.expected("a mapping of keys to values"))
		return
	}
	before := len(d.problems)
	fields := fieldsOf(v.Type())
	given := d.keys(n, names(fields))
	for _, f := range fields {
		d.field(n, v.FieldByIndex(f.index), f, given)
	}
	if c, ok := v.Addr().Interface().(Checker); ok && !n.absent() && len(d.problems) == before {
		d.add(c.CheckConf(n)...)
	}
}

// keys reports the keys of a mapping that are not known, and returns the values of those that are. Where an unknown key
// was most likely meant to be a known one, the known one counts as given without a usable value.
func (d *decoder) keys(n Node, known []string) map[string]Node {
	given := make(map[string]Node, len(known))
	meant := make(map[string]Node)
	for _, p := range n.Pairs() {
		key := p.Key.String()
		if _, twice := given[key]; twice {
			continue // examine has said so
		}
		given[key] = p.Value
		if slices.Contains(known, key) {
			continue
		}
		problem := unknownKey(n, p.Key, known)
		d.add(problem)
		if problem.Hint != "" {
			meant[problem.Hint] = Node{f: n.f, n: &yaml.Node{Kind: yaml.AliasNode}}
		}
	}
	for key, node := range meant {
		if _, ok := given[key]; !ok {
			given[key] = node
		}
	}
	return given
}

// field decodes one field of the mapping n, or sets its default.
func (d *decoder) field(n Node, v reflect.Value, f field, given map[string]Node) {
	switch f.use {
	case usePos:
		v.Set(reflect.ValueOf(n.Pos()))
		return
	case useNode:
		v.Set(reflect.ValueOf(n))
		return
	}
	if value, ok := given[f.name]; ok && !value.IsNull() {
		before := len(d.problems)
		if len(f.enum) > 0 && value.isBool() {
			d.add(f.checkEnum(value, value.String())...) // true where a word is wanted is a slip with words
			return
		}
		d.value(value, v)
		if len(d.problems) == before && !value.refused() {
			d.add(f.check(value, v)...)
		}
		return
	}
	if f.required && !n.absent() {
		d.add(Problem{Pos: n.Pos(), Message: "missing key " + quote(f.name) + n.in()})
		return
	}
	switch {
	case v.Kind() == reflect.Struct && !isLeaf(v.Type()):
		d.structure(Node{f: n.f, name: f.name}, v)
	case f.def != "" && v.IsZero():
		d.value(f.defaultNode(n), v)
	}
}

func (d *decoder) mapping(n Node, v reflect.Value) {
	if n.Kind() != Mapping {
		d.add(n.expected("a mapping of names to values"))
		return
	}
	t := v.Type()
	if t.Key().Kind() != reflect.String {
		d.add(n.Problemf("cannot be decoded into a %s: keys must be text", t))
		return
	}
	m := reflect.MakeMapWithSize(t, len(n.Pairs()))
	for _, p := range n.Pairs() {
		item := reflect.New(t.Elem()).Elem()
		if p.Value.IsNull() && item.Kind() == reflect.Struct && !isLeaf(t.Elem()) {
			d.structure(p.Value, item)
		} else {
			d.value(p.Value, item)
		}
		m.SetMapIndex(reflect.ValueOf(p.Key.String()).Convert(t.Key()), item)
	}
	v.Set(m)
}

func (d *decoder) sequence(n Node, v reflect.Value) {
	if n.Kind() != Sequence {
		p := n.expected("a list")
		if n.Kind() == Scalar && !strings.ContainsAny(n.String(), "\"\n") && len(n.String()) <= maxQuoted {
			p.Message += "; write [" + listItem(n) + "]"
		}
		d.add(p)
		return
	}
	items := n.Items()
	s := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		d.value(item, s.Index(i))
	}
	v.Set(s)
}

func listItem(n Node) string {
	if strings.ContainsAny(n.String(), ",[]{}:#&*!|>'%@` ") || n.Quoted() {
		return `"` + n.String() + `"`
	}
	return n.String()
}

// plain is the node as plain Go values: nil, bool, int64, float64, string, []any and map[string]any.
func (d *decoder) plain(n Node) any {
	switch n.Kind() {
	case Mapping:
		m := make(map[string]any, len(n.Pairs()))
		for _, p := range n.Pairs() {
			m[p.Key.String()] = d.plain(p.Value)
		}
		return m
	case Sequence:
		s := make([]any, 0, len(n.Items()))
		for _, item := range n.Items() {
			s = append(s, d.plain(item))
		}
		return s
	}
	return n.plainScalar()
}

// unknownKey is the problem of a key that nobody reads.
func unknownKey(in, key Node, known []string) Problem {
	p := Problem{Pos: key.Pos(), Message: "unknown key " + quote(key.String()) + in.in(), Hint: Suggest(key.String(), known)}
	if p.Hint == "" && len(known) > 0 && len(known) <= 10 {
		p.Message += "; the keys here are " + strings.Join(known, ", ")
	}
	return p
}
