package main

import "syscall"

// clockKept asks the kernel whether something keeps the clock right (adjtimex(2)).
func clockKept() (known, kept bool) {
	var t syscall.Timex
	state, err := syscall.Adjtimex(&t)
	const unsynchronised, timeError = 0x40, 5 // STA_UNSYNC, TIME_ERROR
	return err == nil, state != timeError && t.Status&unsynchronised == 0
}
