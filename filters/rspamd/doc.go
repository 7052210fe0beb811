// Package rspamd asks an Rspamd that the site already runs what it thinks of a message.
//
// It takes no action that Rspamd asks for, applies none of its changes and reads none of its headers: what Rspamd would do is a
// fact, and when it could not look, that is an error, never a clean message.
package rspamd
