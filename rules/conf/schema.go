package conf

import (
	"encoding/json"
	"maps"
	"reflect"
	"strings"
)

// A Schemer says as a JSON Schema what a type that decodes itself takes.
type Schemer interface{ ConfSchema() map[string]any }

// Schema is the JSON Schema (draft 2020-12) of the documents that decode into v's type, indented, for editors. It
// accepts at least what Decode does.
func Schema(v any) []byte {
	s := schemaOf(reflect.TypeOf(v), 0)
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil // a map of text, numbers and maps is always written
	}
	return append(out, '\n')
}

func schemaOf(t reflect.Type, depth int) map[string]any {
	t = deref(t)
	if s, ok := reflect.New(t).Interface().(Schemer); ok {
		return maps.Clone(s.ConfSchema())
	}
	switch t {
	case typeDuration:
		return Duration(0).ConfSchema()
	case typePrefix, typeAddr:
		return map[string]any{"type": "string", "pattern": `^[0-9A-Fa-f.:]+(/[0-9]+)?$`}
	case typeTime:
		return map[string]any{"type": "string", "pattern": `^[0-9]{4}-[0-9]{2}-[0-9]{2}`}
	}
	if depth > maxNesting || t == typeNode || isLeafSelf(t) {
		return map[string]any{}
	}
	switch k := t.Kind(); k {
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.String:
		return map[string]any{"type": []string{"string", "number"}}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem(), depth+1)}
	case reflect.Map:
		return map[string]any{"type": []string{"object", "null"}, "additionalProperties": schemaOf(t.Elem(), depth+1)}
	case reflect.Struct:
		return structSchema(t, depth)
	case reflect.Interface:
		return map[string]any{}
	case reflect.Float32, reflect.Float64:
		return map[string]any{"type": "number"}
	}
	return map[string]any{"type": "integer"}
}

func structSchema(t reflect.Type, depth int) map[string]any {
	properties := map[string]any{}
	var required []string
	for _, f := range fieldsOf(t) {
		if f.use != useKey {
			continue
		}
		properties[f.name] = f.schema(depth)
		if f.required {
			required = append(required, f.name)
		}
	}
	s := map[string]any{"type": []string{"object", "null"}, "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["type"], s["required"] = "object", required
	}
	return s
}

func (f field) schema(depth int) map[string]any {
	s := schemaOf(f.typ, depth+1)
	if f.doc != "" {
		s["description"] = strings.ReplaceAll(f.doc, "`", "")
	}
	if len(f.enum) > 0 {
		if items, ok := s["items"].(map[string]any); ok {
			items["enum"] = words(f.enum)
			delete(items, "type")
		} else {
			s["enum"] = words(f.enum)
			delete(s, "type")
		}
	}
	for key, bound := range map[string]string{"minimum": f.min, "maximum": f.max} {
		if bound != "" && decimal(bound, true) && s["type"] != nil && !selfSchema(f.typ) {
			s[key] = json.Number(bound)
		}
	}
	if f.def != "" {
		if root, p := parse("", []byte(f.def)); len(p) == 0 && f.typ.Kind() != reflect.String {
			s["default"] = new(decoder).plain(root)
		} else {
			s["default"] = f.def
		}
	}
	return s
}

// words are the values of an enum; one that looks like a number may be written as one.
func words(enum []string) []any {
	var out []any
	for _, e := range enum {
		out = append(out, e)
		if decimal(e, true) {
			out = append(out, json.Number(e))
		}
	}
	return out
}

// selfSchema reports whether a type's numbers are not what the document writes.
func selfSchema(t reflect.Type) bool {
	return t == typeDuration || reflect.PointerTo(t).Implements(reflect.TypeFor[Schemer]())
}
