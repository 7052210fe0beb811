//go:build !linux

package privilege

import "errors"

// Confine is for Linux alone.
func Confine() error { return errors.ErrUnsupported }
