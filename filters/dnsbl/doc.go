// Package dnsbl states which DNS block and allow lists name a message's client, its domains, its links and its mailboxes.
//
// It does not decide what a listing is worth, and it believes no list that answers wrongly for its own test points.
package dnsbl
