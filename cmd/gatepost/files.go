package main

import (
	"fmt"
	"syscall"

	"gatepost/gateway/smtp"
)

// spareFiles are what is kept free of sessions, of the files that the process may have open: for listeners, next hops,
// name servers, the store, the journal and the review pages. Idle clients must not be able to take those.
const spareFiles = 512

// openable is how many files the process may have open; 0 if the system does not say.
func openable() uint64 {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0
	}
	return l.Cur
}

// affordable is l with no more connections than files allow; where they are few, half of them.
func affordable(l smtp.Limits, files uint64) smtp.Limits {
	if files == 0 {
		return l
	}
	most := files / 2
	if files > 2*spareFiles {
		most = files - spareFiles
	}
	if uint64(l.Connections) > most {
		l.Connections = int(most)
	}
	return l
}

// What few files do, and what to do about it.
const filesHint = "Let the process open more files (LimitNOFILE= of systemd, ulimit -n), or lower limits.connections."

// fewFiles says that files do not allow as many connections as were asked for; empty where they do.
func fewFiles(l smtp.Limits, files uint64) string {
	if got := affordable(l, files).Connections; got < l.Connections {
		return fmt.Sprintf("%d open files allow %d connections, not the %d of limits.connections", files, got, l.Connections)
	}
	return ""
}

// fileHealth tells whether the process may open as many files as it may need.
func (s *site) fileHealth(files uint64) diagnosis {
	if few := fewFiles(s.cfg.Limits.SessionLimits, files); few != "" {
		return diagnosis{"open files", isWarning, few, "Clients beyond that are turned away (421 4.3.2).", filesHint}
	}
	return diagnosis{Name: "open files", State: isWell, Detail: fmt.Sprintf("%d for %d connections", files, s.cfg.Limits.SessionLimits.Connections)}
}
