//go:build !unix

package smtp

import "net"

// pendingOctets is false where the operating system cannot be asked.
func pendingOctets(net.Conn) bool { return false }
