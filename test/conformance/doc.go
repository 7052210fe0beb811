// Package conformance runs the published suites of the field against the product's own parts: SPF, DKIM, ARC, and
// spoofed sessions, over real packets where the part talks to a network.
//
// It holds no cases of its own: the suites lie in the shared corpora beside the project.
package conformance
