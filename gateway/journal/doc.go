// Package journal is the append-only record of everything that was decided: one record per transaction, refusal or human
// action. Log lines, metrics, trace and the review pages are made from it. Where gateways share a database each ships its
// records there, and reads those of all.
//
// It is not a queue: losing it loses no mail.
package journal
