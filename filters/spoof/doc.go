// Package spoof states who a message pretends to be from: a person of this site, a firm, a partner, the reader himself; and whether
// the author is somebody whom this site knows.
//
// It proves nothing about who sent the message, which is the business of filter auth, and it does not look where links lead, which is that
// of filter links.
package spoof
