// Package policy judges a report by an administrator's rules: thresholds, weights, access entries and CEL rules in YAML.
//
// It is pure: no clock, no network, no state. The same envelope, report and policy give the same decision, today and in a replay.
package policy
