// Package admin is what people and scripts see of the gateway: the review pages, the JSON API, metrics and health.
//
// It decides nothing about mail and touches no message: it shows what the journal and the quarantine hold, and hands a
// reviewer's wish to those who can carry it out.
package admin
