// Package fault makes the world fail on purpose: a file system in memory that loses what was not synced, and whose
// operations fail when told to.
//
// It is not for production code, and it does not judge: tests say what must survive.
package fault
