// Package mail is what a filter sees of one message: the envelope, the bytes, and the one parse of them.
//
// It is not an SMTP implementation and has no opinion: it never refuses bytes, it records what is odd about them.
//
// Mail programs read malformed mail differently, and whoever attacks lives on that. Parse therefore reads a message
// in every way that a program could, hands all readings on, and records a Defect where they differ. See README.md
// for the defects and the bounds.
package mail
