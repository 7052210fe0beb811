// Package directory asks LDAP servers which recipients exist.
//
// It reads nothing else of a directory and writes nothing: logging in to the review pages is not its business.
package directory
