// Package mail is what a filter sees of one message: the envelope, the bytes, and the one parse of them.
//
// It is not an SMTP implementation and has no opinion: it never refuses bytes, it records what is odd about them.
package mail
