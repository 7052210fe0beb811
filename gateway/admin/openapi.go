package admin

import (
	"encoding/json"
	"reflect"
	"strings"
	"time"

	"gatepost/gateway/webhook"
)

// openapi is the API's description, OpenAPI 3.1, as JSON.
type openapi []byte

// describe makes the description from the route table, so that neither can say what the other does not.
func describe(routes []route) (openapi, error) {
	paths := make(map[string]map[string]any)
	for _, r := range routes {
		if !r.api {
			continue
		}
		op := map[string]any{"summary": r.does, "operationId": operationID(r), "responses": r.responses()}
		if !r.open {
			op["x-gatepost-right"] = string(r.right)
			op["security"] = []any{map[string]any{"token": []any{}}}
		}
		if ps := r.parameters(); len(ps) > 0 {
			op["parameters"] = ps
		}
		if r.in != nil {
			op["requestBody"] = map[string]any{"content": jsonContent(r.in)}
		}
		if paths[r.pattern] == nil {
			paths[r.pattern] = make(map[string]any)
		}
		paths[r.pattern][strings.ToLower(r.method)] = op
	}
	return json.MarshalIndent(map[string]any{
		"openapi":  "3.1.0",
		"info":     map[string]any{"title": "Gatepost", "version": "1", "description": "Everything that the review pages can do."},
		"paths":    paths,
		"webhooks": describeEvents(),
		"components": map[string]any{"securitySchemes": map[string]any{
			"token": map[string]any{"type": "http", "scheme": "bearer", "description": "A token made on the account page."}}},
	}, "", " ")
}

// describeEvents are the requests that webhooks get, by event.
func describeEvents() map[string]any {
	out := make(map[string]any)
	for _, e := range append(webhook.Events(), webhook.Test) {
		schema := schemaOf(reflect.TypeFor[webhook.Notice](), 0)
		schema["properties"].(map[string]any)["data"] = schemaOf(reflect.TypeOf(webhook.Example(e)), 0)
		schema["properties"].(map[string]any)["event"] = map[string]any{"const": string(e)}
		out[string(e)] = map[string]any{"post": map[string]any{
			"summary":     "Sent to the webhooks of gatepost.yaml that want " + string(e) + ".",
			"operationId": "on" + camel(strings.Split(string(e), ".")),
			"parameters": []any{map[string]any{"name": "Gatepost-Signature", "in": "header", "required": true, "schema": map[string]any{"type": "string"},
				"description": "t=SECONDS,v1=HEX: HMAC-SHA256 with the secret over the seconds, a full stop and the body"}},
			"requestBody": map[string]any{"content": map[string]any{"application/json": map[string]any{"schema": schema}}},
			"responses":   map[string]any{"2XX": map[string]any{"description": "taken"}, "default": map[string]any{"description": "tried again for some minutes; 4xx, but for 408, 425 and 429, is final"}},
		}}
	}
	return out
}

// operationID is the method and the words of the path: getQuarantineText.
func operationID(r route) string {
	return strings.ToLower(r.method) + camel(strings.Split(strings.TrimPrefix(r.pattern, "/api/v1/"), "/"))
}

// camel joins words, each with a capital.
func camel(words []string) string {
	id := ""
	for _, w := range words {
		w = strings.Trim(strings.ReplaceAll(w, ".json", ""), "{}")
		id += strings.ToUpper(w[:1]) + w[1:]
	}
	return id
}

func (r route) parameters() []any {
	var out []any
	for seg := range strings.SplitSeq(r.pattern, "/") {
		if strings.HasPrefix(seg, "{") {
			out = append(out, map[string]any{"name": strings.Trim(seg, "{}"), "in": "path", "required": true,
				"schema": map[string]any{"type": "string"}})
		}
	}
	for _, p := range r.params {
		out = append(out, map[string]any{"name": p.name, "in": "query", "description": p.does, "schema": map[string]any{"type": "string"}})
	}
	return out
}

func (r route) responses() map[string]any {
	out, ok := make(map[string]any), map[string]any{"description": "done"}
	status := "200"
	switch {
	case r.out != nil:
		ok["content"] = jsonContent(r.out)
	case r.method != get:
		status = "204"
	case strings.HasSuffix(r.pattern, "/raw"):
		ok["content"] = map[string]any{"application/octet-stream": map[string]any{}}
	}
	if r.in != nil && r.right == RightPeople {
		status = "201"
	}
	if r.right == RightEntries || r.right == RightChange {
		out["422"] = map[string]any{"description": "the check did not let it pass", "content": jsonContent(apiProblems{})}
	}
	out[status] = ok
	if !r.open {
		out["401"] = map[string]any{"description": "no token, or not a valid one"}
		out["403"] = map[string]any{"description": "the token or its owner may not"}
	}
	if strings.Contains(r.pattern, "{") {
		out["404"] = map[string]any{"description": "not there, or not the owner's to see"}
	}
	return out
}

func jsonContent(example any) map[string]any {
	return map[string]any{"application/json": map[string]any{"schema": schemaOf(reflect.TypeOf(example), 0)}}
}

// schemaOf describes a type as its JSON form.
func schemaOf(t reflect.Type, depth int) map[string]any {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[json.RawMessage]() || depth > 8:
		return map[string]any{}
	case t.Kind() != reflect.Struct && t.Implements(reflect.TypeFor[json.Marshaler]()):
		return map[string]any{"type": "number"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem(), depth+1)
	case reflect.Slice, reflect.Array:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem(), depth+1)}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem(), depth+1)}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Int, reflect.Int64, reflect.Uint64, reflect.Int32:
		return map[string]any{"type": "integer"}
	case reflect.Struct:
		return structSchema(t, depth)
	}
	return map[string]any{}
}

func structSchema(t reflect.Type, depth int) map[string]any {
	props := make(map[string]any)
	for f := range fieldsOf(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported():
		case f.Anonymous && name == "":
			for k, v := range structSchema(f.Type, depth+1)["properties"].(map[string]any) {
				props[k] = v
			}
		default:
			if name == "" {
				name = f.Name
			}
			props[name] = schemaOf(f.Type, depth+1)
		}
	}
	if len(props) == 0 {
		return map[string]any{"type": "string"} // a type that writes itself as text, such as an IP address
	}
	return map[string]any{"type": "object", "properties": props}
}

func fieldsOf(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}
