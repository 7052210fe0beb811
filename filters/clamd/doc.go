// Package clamd asks ClamAV's daemon about a message and about every file that our own parse finds in it.
//
// It holds no signatures and looks into nothing itself; when the daemon cannot look, that is an error, never a clean message.
package clamd
