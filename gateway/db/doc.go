// Package db is the durable store of records: one SQLite file in write-ahead mode on one machine, or a PostgreSQL database
// that the gateways of a site share; full synchronisation, group commit and numbered schema steps on either. It is the only
// package that knows SQL drivers.
//
// It is not a place for counters or caches, and it does not know what its tables mean.
//
// Callers write one SQL, that of SQLite with placeholders ? or ?1, and PostgreSQL is given its own spelling of it. What both
// understand: ON CONFLICT … DO with columns named by their table (not OR REPLACE, OR IGNORE), RETURNING (not
// LastInsertId), TRUE and FALSE for conditions, flags as INTEGER that are compared with 0, instr(a, b) > 0, CASE (not max
// or min of two values), and schema steps with INTEGER, TEXT, BLOB, INTEGER PRIMARY KEY [AUTOINCREMENT] and WITHOUT
// ROWID. Text is compared by its bytes.
package db
