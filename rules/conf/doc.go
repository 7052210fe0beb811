// Package conf reads strict YAML documents: every unknown key, duplicate key, wrong type and contradiction is a Problem
// with file, line, column and the likely key. It is the only package that knows the YAML library.
//
// It is not the configuration itself: each package owns its own struct.
//
// # Structs
//
// A field takes part when it has a yaml tag; embedded structs are read as if their fields stood in the outer one.
//
//	type Limits struct {
//		Pos        conf.Pos      `yaml:",pos"`  // where the mapping stands
//		Node       conf.Node     `yaml:",node"` // the mapping itself, to say later where a key stands
//		Recipients int           `yaml:"recipients" default:"100" min:"1" doc:"Most recipients of one message."`
//		Idle       time.Duration `yaml:"idle" default:"5m" doc:"How long a client may say nothing."`
//		TLS        string        `yaml:"tls" enum:"off|offered|required" default:"offered" doc:"…"`
//		Name       string        `yaml:"name" required:"true" doc:"…"`
//	}
//
// A default is written as the document would write it and holds where the key is absent or has no value. A type that
// has a method UnmarshalConf decodes itself; one that has CheckConf is asked about contradictions once its mapping was
// read without a problem. ConfType and ConfSchema say for the reference and the JSON Schema what such a type takes.
package conf
