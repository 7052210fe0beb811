// Package traffic states what this site saw of a sender and of a body lately: whether what came from there was wanted, whether there is
// suddenly much more of it, and whether nearly the same text comes from many places.
//
// It remembers nothing itself, which is the business of gateway/state, and it says nothing about who wrote the message, which is that of
// filter auth.
package traffic
