package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"gatepost/gateway/config"
	"gatepost/gateway/privilege"
)

// stepDown makes a gateway that root started its user's: sockets are bound before, for low ports need root, and
// everything else happens after. It returns the configuration as its user can read it.
func stepDown(a *app, cfg *config.Config, sockets *heritage) (*config.Config, error) {
	if cfg.User == "" || os.Geteuid() != 0 {
		return cfg, nil
	}
	account, err := privilege.Find(cfg.User)
	if err != nil {
		return nil, err
	}
	for _, address := range addresses(cfg) {
		if err := sockets.bind(address); err != nil {
			return nil, fmt.Errorf("listen at %s: %w", address, err)
		}
	}
	if err := giveRoom(string(cfg.DataDir), account); err != nil {
		return nil, err
	}
	if err := account.Become(); err != nil {
		return nil, err
	}
	again, problems := config.Load(cfg.File) // a reload will read it so
	if len(problems) > 0 {
		fmt.Fprintf(a.errs, "gatepost: as user %s the configuration cannot be read:\n", cfg.User)
		return nil, a.complain(problems)
	}
	return again, nil
}

// giveRoom makes the data directory for an account, or sees that it is the account's.
func giveRoom(dir string, account privilege.Account) error {
	owner, err := privilege.Owner(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make data directory: %w", err)
		}
		return os.Chown(dir, account.UID, account.GID)
	case err != nil:
		return fmt.Errorf("look at data directory: %w", err)
	case owner.UID != account.UID:
		return fmt.Errorf("data_dir %s belongs to %s, not to user %s; chown -R %s it", dir, owner.Name, account.Name, account.Name)
	}
	return nil
}

// makeRoom makes the data directory for the user that the gateway will become, where a command of root's comes before the
// first start: what root made for itself, the gateway could not use.
func (s *site) makeRoom() error {
	dir := string(s.cfg.DataDir)
	if _, err := os.Stat(dir); s.cfg.User == "" || os.Geteuid() != 0 || !errors.Is(err, os.ErrNotExist) {
		return nil
	}
	account, err := privilege.Find(s.cfg.User)
	if err != nil {
		return err
	}
	return giveRoom(dir, account)
}

// standIn makes a command of root's that writes beside the gateway the owner of its data directory: what root left there,
// the gateway could not read.
func standIn(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	owner, err := privilege.Owner(dir)
	if errors.Is(err, os.ErrNotExist) || err == nil && owner.UID == 0 {
		return nil
	}
	if err == nil {
		err = owner.Become()
	}
	return err
}

// addresses are where a configuration listens.
func addresses(cfg *config.Config) []string {
	var list []string
	for _, l := range cfg.Listeners {
		list = append(list, l.Address)
	}
	return append(list, cfg.Admin.Address)
}

// confine shuts the ways to more power, now that the sockets are there.
func confine(log *slog.Logger, cfg *config.Config) {
	if err := privilege.Confine(); err != nil {
		log.Warn("the process could not be confined", "error", err.Error())
	}
	if os.Geteuid() == 0 {
		log.Warn("the gateway runs as root: set user to an account of its own, or start it as one")
	}
}
