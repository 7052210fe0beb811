// Package smtp is both sides of the wire: the server that faces the Internet and the client that speaks to the next hop.
//
// It knows the protocol and its abuses; it does not know what a filter, a policy or a quarantine is.
package smtp
