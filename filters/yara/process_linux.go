package yara

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"gatepost/filters/peer"
)

// memory makes an empty file that has no name and ends with its last descriptor.
func memory(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate("gatepost-"+name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate("gatepost-"+name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// seal lets nobody change a file in memory any more: programs share its descriptor.
func seal(f *os.File) error {
	_, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL)
	if err != nil {
		return fmt.Errorf("seal a file in memory: %w", err)
	}
	return nil
}

// filled is a sealed file in memory with a content.
func filled(name string, r io.Reader) (*os.File, error) {
	f, err := memory(name)
	if err != nil {
		return nil, err
	}
	if _, err = io.Copy(f, r); err == nil {
		err = seal(f)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// run runs the program to its end, or until ctx ends, and leaves nothing of its group behind. said is what it wrote to
// standard error, at most maxSaid octets. Anything but its own good end is an error.
func (j *job) run(ctx context.Context) (said string, err error) {
	// The kernel ends the child when the thread ends that started it: it must be this one until then.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := ctx.Err(); err != nil {
		return "", context.Cause(ctx)
	}
	p, err := j.start()
	if err != nil {
		return "", err
	}
	defer p.close()
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { p.kill(); close(killed) })
	complaints := make(chan string, 1)
	go func() { complaints <- readSome(p.errors) }()
	if err = j.limit(p.cmd.Process.Pid); err == nil {
		io.WriteString(p.input, j.input) // one that does not read it says nothing of the files in it
		p.input.Close()
		err = j.read(p.output)
	}
	if err != nil {
		p.kill()
	}
	waitFor(p.cmd.Process.Pid)
	unix.Kill(-p.cmd.Process.Pid, unix.SIGKILL) // before it is reaped, so that the number is still its group's
	if !stop() {
		<-killed
	}
	end := p.cmd.Wait()
	p.errors.SetReadDeadline(time.Now().Add(time.Second)) // somebody may have left the group and hold it open
	said = <-complaints
	switch {
	case ctx.Err() != nil:
		return said, context.Cause(ctx)
	case err != nil:
		return said, err
	case end != nil:
		return said, fmt.Errorf("%w: %s", end, peer.ASCII(firstLine(said), 150))
	}
	return said, nil
}

// A process is a program that runs, with our ends of its pipes.
type process struct {
	cmd                   *exec.Cmd
	input, output, errors *os.File
}

// start starts the program.
func (j *job) start() (*process, error) {
	var theirs, ours [3]*os.File
	shut := func(list []*os.File) {
		for _, f := range list {
			if f != nil {
				f.Close()
			}
		}
	}
	defer func() { shut(theirs[:]) }()
	for i := range ours {
		r, w, err := os.Pipe()
		if err != nil {
			shut(ours[:])
			return nil, fmt.Errorf("make a pipe: %w", err)
		}
		if theirs[i], ours[i] = w, r; i == 0 {
			theirs[i], ours[i] = r, w
		}
	}
	cmd := &exec.Cmd{
		Path: j.path, Args: append([]string{j.path}, j.args...), Env: []string{}, Dir: j.dir, ExtraFiles: j.files,
		Stdin: theirs[0], Stdout: theirs[1], Stderr: theirs[2],
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	}
	if err := cmd.Start(); err != nil {
		shut(ours[:])
		return nil, fmt.Errorf("start %s: %w", j.path, err)
	}
	return &process{cmd, ours[0], ours[1], ours[2]}, nil
}

// limit bounds the child before it is told of any file.
func (j *job) limit(pid int) error {
	for _, l := range []struct {
		what int
		most int64
	}{
		{unix.RLIMIT_AS, j.memory}, {unix.RLIMIT_CPU, int64(j.seconds)}, {unix.RLIMIT_FSIZE, j.write}, {unix.RLIMIT_CORE, 0},
	} {
		err := unix.Prlimit(pid, l.what, &unix.Rlimit{Cur: uint64(l.most), Max: uint64(l.most)}, nil)
		if err != nil && !errors.Is(err, unix.ESRCH) { // it has ended already, and that will be told
			return fmt.Errorf("limit %s: %w", j.path, err)
		}
	}
	return nil
}

// kill ends the whole group, and every wait for what it writes.
func (p *process) kill() {
	unix.Kill(-p.cmd.Process.Pid, unix.SIGKILL)
	p.output.SetReadDeadline(time.Unix(1, 0))
}

func (p *process) close() {
	p.input.Close()
	p.output.Close()
	p.errors.Close()
}

// waitFor returns when the child has ended, and leaves it to be reaped.
func waitFor(pid int) {
	for errors.Is(unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
}
