// Package quarantine keeps messages that people are to look at: put, list, search, show, release, delete, expire. Content is
// kept in files on one machine, and in the database where gateways share one.
//
// It does not judge, and it does not deliver: release hands the message back to the gateway.
package quarantine
