package conf

import (
	"fmt"
	"io"
	"reflect"
	"strings"
)

// A Typed says in a few words what a type that decodes itself takes: "any | {file: PATH}".
type Typed interface{ ConfType() string }

// maxNesting bounds the reference and the schema of types that hold themselves.
const maxNesting = 8

// Reference writes the keys of a struct as a page of Markdown: each with its type, default and meaning. Where a field has
// no default in its tag, what it holds in v is the default.
func Reference(w io.Writer, v any, title string) error {
	r := &reference{}
	r.line("# %s", title)
	r.section("", "", reflect.ValueOf(v), 0)
	_, err := io.WriteString(w, r.b.String())
	return err
}

type reference struct{ b strings.Builder }

func (r *reference) line(format string, args ...any) {
	fmt.Fprintf(&r.b, format+"\n", args...)
}

// section writes one table, then a section for each key that has keys of its own.
func (r *reference) section(path, doc string, v reflect.Value, depth int) {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v = reflect.New(v.Type().Elem())
		}
		v = v.Elem()
	}
	if path != "" {
		r.line("\n## `%s`", path)
		if doc != "" {
			r.line("\n%s", doc)
		}
	}
	fields := fieldsOf(v.Type())
	r.line("\n| key | type | default | meaning |\n|---|---|---|---|")
	for _, f := range fields {
		if f.use == useKey {
			r.line("| `%s` | %s | %s | %s |", f.name, cell(f.typeName()), cell(f.defaultName(v.FieldByIndex(f.index))), cell(f.doc))
		}
	}
	if depth == maxNesting {
		return
	}
	for _, f := range fields {
		if f.use != useKey {
			continue
		}
		inner, suffix := keyed(f.typ)
		switch value := v.FieldByIndex(f.index); {
		case inner == nil:
		case inner == value.Type():
			r.section(join(path, f.name), f.doc, value, depth+1)
		default:
			r.section(join(path, f.name)+suffix, f.doc, reflect.Zero(inner), depth+1)
		}
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// keyed is the struct within a type, with what its path has to show, or nil.
func keyed(t reflect.Type) (reflect.Type, string) {
	t = deref(t)
	switch {
	case t.Kind() == reflect.Slice && !isLeafSelf(t):
		inner, suffix := keyed(t.Elem())
		return inner, "[]" + suffix
	case t.Kind() == reflect.Map && !isLeafSelf(t):
		inner, suffix := keyed(t.Elem())
		return inner, ".NAME" + suffix
	case t.Kind() == reflect.Struct && !isLeaf(t):
		return t, ""
	}
	return nil, ""
}

// isLeafSelf reports whether a list or map type decodes itself.
func isLeafSelf(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(typeUnm) || p.Implements(typeText)
}

func deref(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

func (f field) typeName() string {
	if len(f.enum) > 0 {
		words := "`" + strings.Join(f.enum, "` or `") + "`"
		if deref(f.typ).Kind() == reflect.Slice {
			return "list of " + words
		}
		return words
	}
	name := typeName(f.typ)
	switch {
	case f.min != "" && f.max != "":
		name += ", " + f.min + " to " + f.max
	case f.min != "":
		name += ", at least " + f.min
	case f.max != "":
		name += ", at most " + f.max
	}
	return name
}

// defaultName is the default as a document would write it; v is what the field holds before the document is read.
func (f field) defaultName(v reflect.Value) string {
	switch {
	case f.required:
		return "(must be given)"
	case !v.IsZero() && v.Type() == typeDuration:
		return "`" + Duration(v.Int()).String() + "`"
	case !v.IsZero() && v.Kind() != reflect.Struct && v.Kind() != reflect.Pointer:
		return fmt.Sprintf("`%v`", v.Interface())
	case f.def != "":
		return "`" + f.def + "`"
	case v.Kind() == reflect.Bool:
		return "`false`"
	}
	return ""
}

func typeName(t reflect.Type) string {
	t = deref(t)
	if d, ok := reflect.New(t).Interface().(Typed); ok {
		return d.ConfType()
	}
	switch t {
	case typeNode:
		return "as its owner says"
	case typeDuration:
		return "duration"
	case typePrefix:
		return "network"
	case typeAddr:
		return "IP address"
	case typeTime:
		return "date"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "`true` or `false`"
	case reflect.Slice:
		return "list of " + typeName(t.Elem())
	case reflect.Map:
		return "mapping of names to " + typeName(t.Elem())
	case reflect.Struct:
		if !isLeaf(t) {
			return "mapping"
		}
	case reflect.Interface:
		return "any value"
	case reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "whole number"
	}
	return "text"
}

// cell is text that does not end a table cell.
func cell(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "|", `\|`), "\n", " ")
}
