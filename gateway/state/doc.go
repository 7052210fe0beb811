// Package state is the memory that the gateways of a site share: counters and marks that are small, short-lived and allowed
// to be lost. Local keeps them in this process, Redis among all gateways, with a stricter Local while Redis is away.
//
// It is not a store: no mail, no verdict and no session lives only here.
package state
