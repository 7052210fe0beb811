// Package harness runs the real gatepost binary in a small world of its own: a data directory, DNS zones over real packets,
// a sink as the next hop, and dialogues spoken line by line.
//
// A test that uses it reads like the story it tells; nothing in it sleeps, and everything it started ends with the test.
package harness
