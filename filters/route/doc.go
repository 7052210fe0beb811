// Package route states what is odd about the way that a message came: how its client and the hosts before it are named, what they
// call themselves, and whether the clocks on the way agree with its date.
//
// It does not ask the DNS and does not know who may send for whom (auth does); what a message says of its way is a claim, and what the
// claim is worth is policy.
package route
