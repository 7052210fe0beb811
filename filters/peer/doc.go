// Package peer is what filters have in common that ask a program beside the gateway: where it is, how many questions it is asked at once,
// how long all answers may take, whether it answers at all, and how its answers are read within bounds.
//
// It speaks no protocol of scanners, knows no mail and states no facts.
package peer
