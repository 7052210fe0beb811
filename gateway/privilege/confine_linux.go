package privilege

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"
)

// From linux/prctl.h and linux/capability.h.
const (
	prSetNoNewPrivs     = 38
	prCapAmbient        = 47
	prCapAmbientClear   = 4
	capabilityVersion3  = 0x20080522
	capabilitySetsCount = 2
)

// Confine shuts the ways by which this process could come to more power than it has: nothing that it might start gains any
// (no_new_privs), and, unless it is root's, it keeps no capability, that for low ports included. Call it once the
// sockets are there. A build with cgo cannot reach all threads and returns errors.ErrUnsupported.
func Confine() error {
	if err := everywhere(syscall.SYS_PRCTL, prSetNoNewPrivs, 1); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	if os.Geteuid() == 0 {
		return nil
	}
	if err := everywhere(syscall.SYS_PRCTL, prCapAmbient, prCapAmbientClear); err != nil {
		return fmt.Errorf("clear ambient capabilities: %w", err)
	}
	head := struct {
		version uint32
		pid     int32
	}{version: capabilityVersion3}
	var none [capabilitySetsCount]struct{ effective, permitted, inheritable uint32 }
	err := everywhere(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&none)))
	runtime.KeepAlive(&head)
	runtime.KeepAlive(&none)
	if err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return nil
}

// everywhere makes a system call on every thread.
func everywhere(trap, a1, a2 uintptr) error {
	_, _, errno := syscall.AllThreadsSyscall6(trap, a1, a2, 0, 0, 0, 0)
	switch {
	case errno == syscall.ENOTSUP:
		return errors.ErrUnsupported
	case errno != 0:
		return errno
	}
	return nil
}
