//go:build !linux

package main

// untouch does nothing on this system.
func untouch([]byte) {}

// unread does nothing on this system.
func unread() {}
