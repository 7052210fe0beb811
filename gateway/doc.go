// Package gateway is the path of one message and nothing else: session, inspection, decision, carrying, record, reply.
//
// What it needs it is given. It does not parse, judge, store or speak SMTP by itself; it knows who does, and in which order.
package gateway
