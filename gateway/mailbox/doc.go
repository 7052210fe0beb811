// Package mailbox reads messages out of what people keep them in: single files, directories, Maildirs and mbox files.
//
// It does not parse messages and never writes to a mailbox.
package mailbox
