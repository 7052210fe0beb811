// Package clamav starts the real clamd with signatures that the test writes: of the EICAR file, and of nothing else.
//
// It is not a client of clamd; that is gatepost/filters/clamd.
package clamav
