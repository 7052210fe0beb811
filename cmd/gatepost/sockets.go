package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gatepost/gateway/config"
)

// Listening sockets outlive the process in two ways, and connections then wait in them instead of being refused: systemd
// holds them (sd_listen_fds(3)), or a gateway that restarts itself leaves them to its successor in the same process.
const (
	systemdPID   = "LISTEN_PID"
	systemdCount = "LISTEN_FDS"
	systemdFirst = 3
	// leftSockets is what a gateway leaves: ADDRESS=FD, separated by semicolons, with addresses as configured.
	leftSockets = "GATEPOST_SOCKETS"
)

// A heritage is the listening sockets that were there before us.
type heritage struct {
	left  map[string][]net.Listener // by the address as configured
	given []net.Listener            // of systemd
}

// inherit takes the sockets that the environment names, and takes them out of it.
func inherit() (*heritage, error) {
	h := &heritage{left: map[string][]net.Listener{}}
	for part := range strings.SplitSeq(os.Getenv(leftSockets), ";") {
		at := strings.LastIndexByte(part, '=')
		if at < 0 {
			continue
		}
		l, err := socket(part[at+1:])
		if err != nil {
			return nil, fmt.Errorf("take over socket of %s: %w", part[:at], err)
		}
		h.left[part[:at]] = append(h.left[part[:at]], l)
	}
	if os.Getenv(systemdPID) == strconv.Itoa(os.Getpid()) {
		n, err := strconv.Atoi(os.Getenv(systemdCount))
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", systemdCount, err)
		}
		for i := range n {
			l, err := socket(strconv.Itoa(systemdFirst + i))
			if err != nil {
				return nil, fmt.Errorf("take socket %d of systemd: %w", i, err)
			}
			h.given = append(h.given, l)
		}
	}
	return h, errors.Join(os.Unsetenv(leftSockets), os.Unsetenv(systemdPID), os.Unsetenv(systemdCount))
}

// socket makes a listener of a descriptor.
func socket(fd string) (net.Listener, error) {
	n, err := strconv.Atoi(fd)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(n), "socket")
	if f == nil {
		return nil, fmt.Errorf("descriptor %d is none", n)
	}
	l, err := net.FileListener(f) // of a copy
	return l, errors.Join(err, f.Close())
}

// listen gives the inherited socket for an address as configured, or a new one, on which TCP asks as often as keepAlive says
// whether a silent client is still there; negative: never.
func (h *heritage) listen(address string, keepAlive time.Duration) (net.Listener, error) {
	if list := h.left[address]; len(list) > 0 {
		h.left[address] = list[1:]
		return list[0], nil
	}
	want, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, err
	}
	for i, l := range h.given {
		have, ok := l.Addr().(*net.TCPAddr)
		if ok && have.Port == want.Port && (have.IP.Equal(want.IP) || have.IP.IsUnspecified() && (want.IP == nil || want.IP.IsUnspecified())) {
			h.given = append(h.given[:i:i], h.given[i+1:]...)
			return l, nil
		}
	}
	return (&net.ListenConfig{KeepAlive: keepAlive}).Listen(context.Background(), "tcp", address)
}

// bind listens at an address now, for listen to give it out later.
func (h *heritage) bind(address string) error {
	l, err := h.listen(address, 0)
	if err == nil {
		h.left[address] = append(h.left[address], l)
	}
	return err
}

// bindAhead listens where the configuration on disk does and this gateway does not, and sees that the program can be
// started, so that no restart begins that could not end well: without the power to bind a low port, say. It reports
// whether a restart may begin.
func (s *service) bindAhead(program string) bool {
	const executable = 1
	if err := syscall.Access(program, executable); err != nil {
		s.log.Error("no restart: the program cannot be started", "program", program, "error", err.Error())
		return false
	}
	cfg, problems := config.Load(s.cfg.File)
	if len(problems) > 0 {
		return false
	}
	have := addresses(s.cfg)
	for _, address := range addresses(cfg) {
		if slices.Contains(have, address) || s.ahead[address] != nil {
			continue
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			s.log.Error("no restart: the new configuration listens where this gateway cannot; stop it and start it anew", "address", address, "error", err.Error())
			return false
		}
		if s.ahead == nil {
			s.ahead = map[string]net.Listener{}
		}
		s.ahead[address] = l
	}
	return true
}

// close closes what nobody asked for, and names it.
func (h *heritage) close() (unused []string) {
	for address, list := range h.left {
		for _, l := range list {
			unused = append(unused, address)
			l.Close()
		}
	}
	for _, l := range h.given {
		unused = append(unused, l.Addr().String())
		l.Close()
	}
	h.left, h.given = nil, nil
	return unused
}

// handOverTime is how long sessions may go on by themselves before a restart ends those that wait for a command.
const handOverTime = 10 * time.Second

// handOver restarts the gateway in this process, with the program and the configuration that are on disk now. Its sockets
// stay open all the while: who connects meanwhile waits, and is not refused. It returns only if that failed.
func (s *service) handOver() error {
	var left []string
	var kept []descriptor
	keep := func(address string, l net.Listener) error {
		d, err := keepOpen(l)
		if err == nil {
			kept, left = append(kept, d), append(left, fmt.Sprintf("%s=%d", address, d.fd))
		}
		return err
	}
	for i, l := range s.listeners {
		if err := keep(s.cfg.Listeners[i].Address, l); err != nil {
			return err
		}
	}
	if err := keep(s.cfg.Admin.Address, s.webListener); err != nil {
		return err
	}
	for address, l := range s.ahead {
		if err := keep(address, l); err != nil {
			return err
		}
	}
	s.log.Info("restarting")
	s.server.Pause()
	for end := time.Now().Add(handOverTime); s.server.Stats().Open > 0 && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	if err := s.drain(); err != nil {
		s.log.Warn("sessions were cut off", "error", err.Error())
	}
	s.close()
	for _, d := range kept {
		if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, d.fd, syscall.F_SETFD, 0); errno != 0 {
			return fmt.Errorf("keep socket: %w", errno)
		}
	}
	env := append(os.Environ(), leftSockets+"="+strings.Join(left, ";"))
	err := syscall.Exec(s.program, os.Args, env)
	runtime.KeepAlive(kept)
	return fmt.Errorf("start %s: %w", s.program, err)
}

// A descriptor is a copy of a socket's, which keeps the socket open when its listener is closed.
type descriptor struct {
	file *os.File
	fd   uintptr
}

// keepOpen makes a copy of the descriptor of a listener. File.Fd is not asked for it, for that would change how the socket
// waits while it is still in use.
func keepOpen(l net.Listener) (d descriptor, err error) {
	t, ok := l.(*net.TCPListener)
	if !ok {
		return d, fmt.Errorf("keep socket of %s: it is none of TCP", l.Addr())
	}
	if d.file, err = t.File(); err != nil {
		return d, fmt.Errorf("keep socket of %s: %w", l.Addr(), err)
	}
	raw, err := d.file.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { d.fd = fd })
	}
	return d, err
}
