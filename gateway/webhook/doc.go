// Package webhook tells other programs over HTTP what happens: mail held, released and deleted, health that changes,
// policies taken and refused, bursts of failed logins.
//
// It decides nothing and nobody waits for it: what a receiver does not take in time is tried again for a while, counted,
// and dropped.
package webhook
