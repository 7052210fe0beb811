package config

import (
	_ "embed"
	"io"

	"gatepost/rules/conf"
)

//go:embed sample.yaml
var sample []byte

// Sample is a gatepost.yaml to begin with, with comments. It names a policy.yaml beside it.
func Sample() []byte { return append([]byte(nil), sample...) }

// Reference writes the page that explains every key.
func Reference(w io.Writer) error { return conf.Reference(w, *blank(""), "gatepost.yaml") }

// Schema is the JSON Schema of gatepost.yaml, for editors.
func Schema() []byte { return conf.Schema(*blank("")) }
