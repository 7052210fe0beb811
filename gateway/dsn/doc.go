// Package dsn writes delivery status notifications: what a sender is told of recipients that could not be served (RFC 3464).
// It isolates the writer of github.com/emersion/go-message.
//
// It does not decide who is told, and sends nothing.
package dsn
