// Package disk is how files are written here so that they outlive a crash: a small file system interface, durable
// writing, checked lines, compression, free space, and the lock on the data directory.
//
// It is not a store: it knows neither messages nor records.
package disk
