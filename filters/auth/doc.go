// Package auth finds out who vouches for a message: SPF, DKIM, DMARC, ARC and the client's reverse name.
//
// It is not a judge: it never refuses a message, and a check that could not be made is told as a temporary error.
package auth
