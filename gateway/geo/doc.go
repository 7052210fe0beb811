// Package geo finds the country and the network (autonomous system) of an address in files of the MaxMind format that the
// site keeps.
//
// It fetches no files, and what it finds is a hint: an address says where a network is registered, not where a person is.
package geo
