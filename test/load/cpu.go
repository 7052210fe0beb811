package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// tick is how long one unit of /proc/PID/stat is, in seconds (USER_HZ is 100 on every Linux).
const tick = 0.01

// process is a line of the process table.
type process struct {
	parent int
	ticks  int64 // user and system, with those of children that ended
}

// table reads the process table.
func table() map[int]process {
	all := map[int]process{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		s := string(b)
		pid, _ := strconv.Atoi(s[:strings.IndexByte(s, ' ')])
		fields := strings.Fields(s[strings.LastIndexByte(s, ')')+2:])
		p := process{}
		p.parent, _ = strconv.Atoi(fields[1])
		for _, i := range []int{11, 12, 13, 14} {
			n, _ := strconv.ParseInt(fields[i], 10, 64)
			p.ticks += n
		}
		all[pid] = p
	}
	return all
}

// usage adds up the CPU seconds and the memory of processes and all below them.
func usage(roots ...int) (cpu float64, memory int64) {
	if len(roots) == 0 {
		return 0, 0
	}
	all := table()
	var ticks int64
	for pid := range all {
		if !slices.ContainsFunc(roots, func(root int) bool { return below(all, pid, root) }) {
			continue
		}
		ticks += all[pid].ticks
		memory += share(pid)
	}
	return float64(ticks) * tick, memory
}

// below reports whether pid is root or a descendant of it.
func below(all map[int]process, pid, root int) bool {
	for i := 0; pid > 1 && i < 64; i++ {
		if pid == root {
			return true
		}
		pid = all[pid].parent
	}
	return false
}

// share is the resident memory of one process in bytes, of what it shares with others only its part: several processes of
// one program would be wronged otherwise.
func share(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return resident(pid)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "Pss:" {
			kilobytes, _ := strconv.ParseInt(f[1], 10, 64)
			return kilobytes << 10
		}
	}
	return resident(pid)
}

// resident is the resident memory of one process in bytes.
func resident(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
