// Package access says who may speak now, by counting: open connections, connections, messages and recipients a minute, of one
// client and of its network.
//
// It does not read lists: allow and deny entries are policy. It holds no verdict that could not be lost.
package access
