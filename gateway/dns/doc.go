// Package dns asks the site's name servers, remembers their answers, and can serve a small zone of its own.
//
// It is not a recursive resolver: it never follows delegations and trusts no record that was not asked for.
package dns
