package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gatepost/gateway/config"
	"gatepost/policy"
)

// initCmd is `gatepost init`.
type initCmd struct {
	Dir string `arg:"" optional:"" default:"." help:"Directory to write to; made if missing."`
}

// sampleFor is the configuration to begin with in dir. What it keeps lies beside it, but never below /etc: nothing is written
// there, and the system's service manager would not let it.
func sampleFor(dir string) []byte {
	abs, err := filepath.Abs(dir)
	if err != nil || !strings.HasPrefix(abs+"/", "/etc/") {
		return config.Sample()
	}
	return bytes.Replace(config.Sample(), []byte("data_dir: ./data\n"), []byte("data_dir: /var/lib/gatepost\n"), 1)
}

// Run writes the sample files. It never overwrites one.
func (c *initCmd) Run(a *app) error {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return err
	}
	files := []struct {
		name string
		data []byte
	}{{"gatepost.yaml", sampleFor(c.Dir)}, {"policy.yaml", policy.Sample()}}
	for _, f := range files {
		if _, err := os.Lstat(filepath.Join(c.Dir, f.name)); err == nil {
			return fmt.Errorf("%s is already there; nothing was written", filepath.Join(c.Dir, f.name))
		}
	}
	for _, f := range files {
		path := filepath.Join(c.Dir, f.name)
		out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
		if err != nil {
			return err
		}
		if _, err := out.Write(f.data); err != nil {
			out.Close()
			return err
		}
		if err := out.Close(); err != nil {
			return err
		}
		fmt.Fprintf(a.out, "wrote %s\n", path)
	}
	fmt.Fprintf(a.out, "next: edit hostname, domains and downstream, then run\n  gatepost check -c %s\n", filepath.Join(c.Dir, "gatepost.yaml"))
	return nil
}
