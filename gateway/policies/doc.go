// Package policies keeps the files that a policy is made of: read together as one bundle, changed whole or not at all,
// and the last ten bundles that were in force, to be compared with and put back.
//
// It judges nothing, and does not tell a gateway what to judge by.
package policies
