// Package headers states what a message's header block and structure say: who it claims to be from, what is missing or odd,
// and every way in which mail programs would read it differently.
//
// It does not look into attachments and believes nobody: who really sent a message is the business of filter auth.
package headers
