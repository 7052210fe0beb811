// Package auth finds out who vouches for a message: SPF, DKIM, DMARC, ARC and the client's reverse name.
//
// SPF, DKIM, ARC and DMARC are evaluated here rather than by go-msgauth, which writes Authentication-Results and serves the
// tests as another opinion: README.md says where it falls short and what was measured.
//
// It is not a judge: it never refuses a message, and a check that could not be made is told as a temporary error.
package auth
