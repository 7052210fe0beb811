// Package failpoint names the places at which a test makes the gateway die, fail or wait, and nothing else: each stands
// between two steps of the path on which mail changes hands.
//
// It is not in a release. Only the build tag "failpoints" gives it an effect; without it every call is an empty function
// that the compiler removes.
package failpoint
