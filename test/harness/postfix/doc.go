// Package postfix starts the real Postfix of this host as a next hop, from a private directory and on a free port.
//
// It does not touch the host's own Postfix, its configuration or its queue.
package postfix
