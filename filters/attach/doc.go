// Package attach looks into what a person could open or save: what it is by its content, under which names, and whether it
// is dangerous.
//
// It runs nothing, fetches nothing and writes nothing to a path; what it cannot look into it says, and never calls clean.
package attach
