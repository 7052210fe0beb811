// Package law holds the laws of the house as tests: which way imports go, who may import what, and how large a thing may grow.
//
// It is not a style guide: what a formatter or a linter can say is said by them.
package law
