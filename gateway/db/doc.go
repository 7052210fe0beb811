// Package db is the durable store of records: one SQLite file in write-ahead mode, full synchronisation, group commit
// and numbered schema steps. It is the only package that knows SQL drivers.
//
// It is not a place for message content, counters or caches, and it does not know what its tables mean.
package db
