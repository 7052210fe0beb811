// Package filters says what a filter is and runs a chain of them over one message.
//
// It is not a judge: filters state facts with evidence; what a fact weighs and what follows from it is policy.
package filters
