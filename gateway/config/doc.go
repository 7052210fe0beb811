// Package config reads gatepost.yaml: the whole of it, strictly, and whether its parts fit together.
//
// It does not start anything, and what a section means is its owner's business: a filter decodes its own section.
package config
