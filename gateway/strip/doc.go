// Package strip takes parts out of a message and puts a notice in the place of each; every other byte stays as it came.
//
// It decides nothing: what to take out is policy, and where it cannot be sure to have taken it out for every reader, it
// refuses.
package strip
