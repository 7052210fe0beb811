package main

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// untouch makes memory that holds nothing but zeros as if nobody had touched it, so that it is not resident. The collector
// clears what it gives out where any of it was in use before, and that touches all of it.
func untouch(zeros []byte) {
	_ = syscall.Madvise(zeros, syscall.MADV_DONTNEED) // if it cannot, some memory is in use for nothing
}

// unread makes the program itself as if nobody had read it: its code and what it holds for reading stay with the system's
// cache of files, and come back a few pages at a time as they are needed. Half of what starting reads is never needed again.
func unread() {
	path, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer f.Close()
	for _, r := range pristine(f, path) {
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, r[0], r[1]-r[0], syscall.MADV_DONTNEED) // as with untouch
	}
}

// pristine are the ranges of memory, each from its first octet to the one behind it, that hold a file as it is on the disk, by a
// process's smaps (proc_pid_smaps(5)): nobody may write there, and nobody has, as a loader does that puts addresses in.
func pristine(smaps io.Reader, path string) (list [][2]uintptr) {
	var at [2]uintptr // the mapping that is being read about; empty: not of the file, or it may be written
	for lines := bufio.NewScanner(smaps); lines.Scan(); {
		f := strings.Fields(lines.Text())
		switch {
		case len(f) >= 5 && len(f[1]) == 4:
			at = [2]uintptr{}
			start, end, _ := strings.Cut(f[0], "-")
			from, err := strconv.ParseUint(start, 16, 64)
			to, err2 := strconv.ParseUint(end, 16, 64)
			if err == nil && err2 == nil && len(f) == 6 && f[5] == path && f[1][0] == 'r' && f[1][1] == '-' {
				at = [2]uintptr{uintptr(from), uintptr(to)}
			}
		case len(f) == 3 && f[0] == "Anonymous:" && f[1] == "0" && at[0] < at[1]:
			list = append(list, at)
		}
	}
	return list
}
