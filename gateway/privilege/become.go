package privilege

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// An Account is a user of the system that a process can become.
type Account struct {
	Name     string
	UID, GID int
}

// Find looks an account up. Root is refused: to become it is no step down.
func Find(name string) (Account, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return Account{}, fmt.Errorf("find user %s: %w", name, err)
	}
	return account(u)
}

// Owner is the account that a file or directory belongs to.
func Owner(path string) (Account, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Account{}, fmt.Errorf("find owner: %w", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return Account{}, fmt.Errorf("find owner of %s: %w", path, errors.ErrUnsupported)
	}
	id := strconv.FormatUint(uint64(st.Uid), 10)
	u, err := user.LookupId(id)
	if err != nil { // an id needs no name
		u = &user.User{Uid: id, Gid: strconv.FormatUint(uint64(st.Gid), 10), Username: id}
	}
	if st.Uid == 0 {
		return Account{Name: u.Username}, nil
	}
	return account(u)
}

// account is u in numbers.
func account(u *user.User) (Account, error) {
	name := u.Username
	uid, uerr := strconv.Atoi(u.Uid)
	gid, gerr := strconv.Atoi(u.Gid)
	if err := errors.Join(uerr, gerr); err != nil {
		return Account{}, fmt.Errorf("find user %s: %w", name, err)
	}
	if uid == 0 {
		return Account{}, fmt.Errorf("find user %s: it is root", name)
	}
	return Account{name, uid, gid}, nil
}

// Become makes this process, all its threads, the account's for good, with the account's own group alone. It fails unless
// the way back is shut.
func (a Account) Become() error {
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"leave groups", func() error { return syscall.Setgroups([]int{a.GID}) }},
		{"take group", func() error { return syscall.Setgid(a.GID) }},
		{"take user", func() error { return syscall.Setuid(a.UID) }},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("become %s: %s: %w", a.Name, step.what, err)
		}
	}
	if syscall.Setuid(0) == nil || os.Geteuid() != a.UID || os.Getegid() != a.GID {
		return fmt.Errorf("become %s: the way back to root is open", a.Name)
	}
	return nil
}
