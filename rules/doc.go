// Package rules is the pattern language for content rules: packs of named patterns in YAML, compiled so that a thousand
// of them cost one pass over each text, and the packs that the program comes with.
//
// It knows nothing of mail: whoever uses it hands in texts and the names of their places.
package rules
