package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"gatepost/gateway/admin"
)

// userCmd groups the account commands.
type userCmd struct {
	Add    userAddCmd    `cmd:"" help:"Add an account; the password is read from standard input."`
	Passwd userPasswdCmd `cmd:"" help:"Set a password, read from standard input."`
	List   userListCmd   `cmd:"" help:"List accounts."`
	Remove userRemoveCmd `cmd:"" help:"Remove an account and end its sessions."`
}

// withAccounts runs do with the accounts open.
func withAccounts(a *app, do func(*admin.Accounts) error) error {
	return withStores(a, func(w *works) error {
		accounts, err := w.accounts(a.ctx)
		if err != nil {
			return err
		}
		return do(accounts)
	})
}

// readPassword reads one line from standard input.
func readPassword() (string, error) {
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if line = strings.TrimRight(line, "\r\n"); line != "" {
		return line, nil
	}
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("read the password from standard input: %w", err)
	}
	return "", errors.New("no password on standard input; write it there as one line")
}

// named says whose account an error is about, and what would help.
func named(name string, err error) error {
	switch {
	case errors.Is(err, admin.ErrNoAccount):
		return fmt.Errorf("%s: %w; gatepost user list shows those that are", name, err)
	case errors.Is(err, admin.ErrRole):
		return fmt.Errorf("%s: %w; want user, reviewer, content-viewer, admin or auditor", name, err)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// userAddCmd is `gatepost user add`.
type userAddCmd struct {
	Name    string   `arg:"" help:"Login name."`
	Role    []string `default:"reviewer" help:"user, reviewer, content-viewer, admin or auditor; may be repeated."`
	Address []string `help:"Address (or @domain) whose held mail a user sees; may be repeated."`
}

// Run adds the account.
func (c *userAddCmd) Run(a *app) error {
	password, err := readPassword()
	if err != nil {
		return err
	}
	spec := admin.AccountSpec{Name: c.Name, Addresses: c.Address, Password: password}
	for _, r := range c.Role {
		spec.Roles = append(spec.Roles, admin.Role(r))
	}
	return withAccounts(a, func(accounts *admin.Accounts) error {
		if _, err := accounts.Create(a.ctx, spec); err != nil {
			return named(c.Name, err)
		}
		_, err := fmt.Fprintf(a.out, "added %s (%s)\n", c.Name, strings.Join(c.Role, ", "))
		return err
	})
}

// userPasswdCmd is `gatepost user passwd`.
type userPasswdCmd struct {
	Name string `arg:"" help:"Login name."`
}

// Run sets the password.
func (c *userPasswdCmd) Run(a *app) error {
	password, err := readPassword()
	if err != nil {
		return err
	}
	return withAccounts(a, func(accounts *admin.Accounts) error {
		if err := accounts.SetPassword(a.ctx, c.Name, password, false); err != nil {
			return named(c.Name, err)
		}
		_, err := fmt.Fprintln(a.out, "password set; sessions of", c.Name, "are ended")
		return err
	})
}

// userListCmd is `gatepost user list`.
type userListCmd struct {
	JSON bool `name:"json" help:"Print one JSON array."`
}

// Run lists accounts, without anything secret.
func (c *userListCmd) Run(a *app) error {
	return withAccounts(a, func(accounts *admin.Accounts) error {
		list, err := accounts.List(a.ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			shown := make([]map[string]any, len(list))
			for i, u := range list {
				shown[i] = map[string]any{"name": u.Name, "roles": append([]admin.Role{}, u.Roles...), "addresses": append([]string{}, u.Addresses...)}
			}
			return writeLine(a.out, shown)
		}
		if len(list) == 0 {
			_, err := fmt.Fprintln(a.out, "there are no accounts; the first start of the gateway makes one, admin")
			return err
		}
		t := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
		fmt.Fprintln(t, "NAME\tROLES\tADDRESSES")
		for _, u := range list {
			fmt.Fprintf(t, "%s\t%s\t%s\n", u.Name, strings.Trim(fmt.Sprint(u.Roles), "[]"), strings.Join(u.Addresses, ", "))
		}
		return t.Flush()
	})
}

// userRemoveCmd is `gatepost user remove`.
type userRemoveCmd struct {
	Name string `arg:"" help:"Login name."`
}

// Run removes the account.
func (c *userRemoveCmd) Run(a *app) error {
	return withAccounts(a, func(accounts *admin.Accounts) error {
		if err := accounts.Remove(a.ctx, c.Name); err != nil {
			return named(c.Name, err)
		}
		_, err := fmt.Fprintln(a.out, "removed", c.Name)
		return err
	})
}
