// Package icap asks an ICAP server (RFC 3507), such as a virus scanner or a data loss filter, about a message and every file in it.
//
// It takes no changes from the server: what the server would change or refuse is a finding, and when it cannot look, that is an
// error, never a clean message.
package icap
