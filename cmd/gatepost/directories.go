package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"gatepost/gateway/admin"
	"gatepost/gateway/config"
	"gatepost/gateway/directory"
)

// directories are the LDAP servers in use, one for each different section: domains with the same section share it with
// its memory, and a reload that leaves a section as it was leaves its memory, too. The zero value is ready.
type directories struct {
	mu  sync.Mutex
	all map[string]*directory.Directory
}

// sectionKey tells sections apart.
func sectionKey(c directory.Config) string {
	return fmt.Sprint(c.URLs, c.TLS, c.CA, c.BindDN, c.Password.Reveal(), c.Base, c.Filter, c.Timeout, c.Keep, c.KeepNo, c.Stale)
}

// open is the directory of a section.
func (d *directories) open(c directory.Config) (*directory.Directory, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := sectionKey(c)
	if known := d.all[key]; known != nil {
		return known, nil
	}
	fresh, err := directory.New(c)
	if err != nil {
		return nil, err
	}
	if d.all == nil {
		d.all = map[string]*directory.Directory{}
	}
	d.all[key] = fresh
	return fresh, nil
}

// keep hangs up on all that a configuration does not name; nil names none.
func (d *directories) keep(cfg *config.Config) {
	named := map[string]bool{}
	if cfg != nil {
		for _, dom := range cfg.Domains {
			if dom.Recipients.Mode == "ldap" {
				named[sectionKey(dom.Recipients.LDAP)] = true
			}
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for key, dir := range d.all {
		if !named[key] {
			dir.Close()
			delete(d.all, key)
		}
	}
}

// What a directory that cannot be asked does to mail, and what to do.
const (
	directoryEffect = "Recipients that were not asked for today are told to come back (451)."
	directoryHint   = "Look at the LDAP server, the way to it, base, and the password of bind_dn."
)

// list is every directory by name.
func (d *directories) list() []*directory.Directory {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]*directory.Directory, 0, len(d.all))
	for _, dir := range d.all {
		list = append(list, dir)
	}
	slices.SortFunc(list, func(a, b *directory.Directory) int { return strings.Compare(a.Name(), b.Name()) })
	return list
}

// probe asks every directory for its base.
func (d *directories) probe(ctx context.Context) []diagnosis {
	var out []diagnosis
	for _, dir := range d.list() {
		if err := dir.Probe(ctx); err != nil {
			out = append(out, diagnosis{"directory " + dir.Name(), isWarning, err.Error(), directoryEffect, directoryHint})
		} else {
			out = append(out, diagnosis{Name: "directory " + dir.Name(), State: isWell, Detail: "logged in and found its base"})
		}
	}
	return out
}

// health are the directories that could not be asked the last time, for the health page.
func (d *directories) health(add func(name string, err error, severity admin.Severity, since time.Time, effect, hint string)) {
	for _, dir := range d.list() {
		since, err := dir.Health()
		add("directory "+dir.Name(), err, admin.Warning, since, directoryEffect, directoryHint)
	}
}
