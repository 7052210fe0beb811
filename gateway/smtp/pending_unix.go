//go:build unix

package smtp

import (
	"net"
	"syscall"
)

// pendingOctets reports whether nc has received octets that were not read yet. It is false for a connection that is
// not of the operating system's.
func pendingOctets(nc net.Conn) bool {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	_ = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		n, _, err = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true // never wait
	})
	return err == nil && n > 0
}
