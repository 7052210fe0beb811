//go:build failpoints

package failpoint

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Enabled reports whether points have an effect in this binary.
const Enabled = true

// Variable is the environment variable that says what happens where: rules "POINT=ACTION" or "POINT=ACTION@N" or
// "POINT=ACTION@N-M", separated by semicolons. N and M count how often the point was reached, from 1; without them the
// rule always holds. Actions are kill9, panic, hang, sleep(DURATION) and err(NAME) with ENOSPC, EIO, EDQUOT or EMFILE.
// Each rule that acts says so on standard error first.
const Variable = "GATEPOST_FAILPOINTS"

// A rule is what happens at one point.
type rule struct {
	action   string
	argument string
	from, to int64
	seen     atomic.Int64
}

// rules are those of the environment, read once.
var rules = sync.OnceValue(func() map[Point]*rule {
	m, err := parse(os.Getenv(Variable))
	if err != nil {
		panic(err)
	}
	return m
})

// parse reads the rules.
func parse(text string) (map[Point]*rule, error) {
	m := map[Point]*rule{}
	for _, part := range strings.Split(text, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, what, ok := strings.Cut(part, "=")
		if !ok {
			return nil, fmt.Errorf("failpoint rule %q: want POINT=ACTION", part)
		}
		what, when, counted := strings.Cut(what, "@")
		r := &rule{from: 1, to: 1 << 62}
		r.action, r.argument, _ = strings.Cut(strings.TrimSuffix(what, ")"), "(")
		if counted {
			from, to, span := strings.Cut(when, "-")
			if !span {
				to = from
			}
			var err1, err2 error
			r.from, err1 = strconv.ParseInt(from, 10, 64)
			r.to, err2 = strconv.ParseInt(to, 10, 64)
			if err := errors.Join(err1, err2); err != nil {
				return nil, fmt.Errorf("failpoint rule %q: %w", part, err)
			}
		}
		m[Point(name)] = r
	}
	return m, nil
}

// Hit does what the environment asks for at p; the error is what the step behind p is to fail with.
func Hit(p Point) error {
	r := rules()[p]
	if r == nil {
		return nil
	}
	if n := r.seen.Add(1); n < r.from || n > r.to {
		return nil
	}
	fmt.Fprintf(os.Stderr, "failpoint %s: %s %s\n", p, r.action, r.argument)
	switch r.action {
	case "kill9":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "panic":
		panic("failpoint " + p)
	case "hang":
		select {}
	case "sleep":
		d, err := time.ParseDuration(r.argument)
		if err != nil {
			panic(err)
		}
		time.Sleep(d)
		return nil
	case "err":
		return errno(r.argument)
	}
	panic("failpoint " + string(p) + ": unknown action " + r.action)
}

// errno is the error of the operating system with that name.
func errno(name string) error {
	switch name {
	case "ENOSPC":
		return syscall.ENOSPC
	case "EIO":
		return syscall.EIO
	case "EDQUOT":
		return syscall.EDQUOT
	case "EMFILE":
		return syscall.EMFILE
	}
	panic("failpoint: unknown error " + name)
}
