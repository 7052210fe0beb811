package conf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// maxRead is the most octets of a file that a document names, such as a list.
const maxRead = 64 << 20

var errNoFile = errors.New("it is not a regular file")

// Open opens a file that a document names. Pipes and devices, at which a reload would wait or read for ever, are refused.
// The error is a *fs.PathError.
func Open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() { // to read a directory is an error of its own
		err = &fs.PathError{Op: "open", Path: path, Err: errNoFile}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// ReadFile reads a file that a document names: a regular file of at most 64 MiB. The error is a *fs.PathError.
func ReadFile(path string) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRead+1))
	if err == nil && len(data) > maxRead {
		err = &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("the file has more than %d MiB", maxRead>>20)}
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}
