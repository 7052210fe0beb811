// Package spamd asks SpamAssassin's daemon, which the site already runs, what it thinks of a message.
//
// It rewrites nothing and teaches nobody: the daemon's score is a fact, and when it could not look, that is an error, never a clean message.
package spamd
