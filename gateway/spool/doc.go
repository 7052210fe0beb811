// Package spool takes in the content of messages: into pooled memory, beyond a threshold into an unlinked file, under
// one byte budget for the whole process.
//
// It is not a queue: nothing in it survives the process, so nothing that was accepted may live only here.
package spool
