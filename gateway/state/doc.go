// Package state is the memory that the gateways of a site share: counters that are small, short-lived and allowed to be lost.
//
// It is not a store: no mail, no verdict and no session lives only here.
package state
