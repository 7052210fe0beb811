// Package forward carries accepted mail to the next hop: which hop, in what health, over which connection, with which edits.
//
// It never queues by itself and never bounces: what the next hop says is what the caller is told.
package forward
