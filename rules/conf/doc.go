// Package conf reads strict YAML documents: every unknown key, duplicate key, wrong type and contradiction is a Problem
// with file, line, column and the likely key. It is the only package that knows the YAML library.
//
// It is not the configuration itself: each package owns its own struct.
package conf
