package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatepost/filters/mail"
)

// A wish is what a command asks of a running gateway, whose memory and queue belong to it alone.
type wish struct {
	Do  string   `json:"do"`            // retry, cancel; pass
	IDs []string `json:"ids,omitempty"` // none: all, for retry
	By  string   `json:"by"`
}

const (
	wishSuffix = ".json"
	maxWish    = 1 << 20
)

// leave puts a wish where the gateway finds it, whole or not at all.
func (w wish) leave(dir string) (path string, err error) {
	if err := standIn(filepath.Dir(dir)); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make directory of requests: %w", err)
	}
	text, err := json.Marshal(w)
	if err != nil {
		return "", fmt.Errorf("write request: %w", err)
	}
	path = filepath.Join(dir, mail.NewID(time.Now())+wishSuffix)
	if err := os.WriteFile(path+".part", text, 0o600); err != nil {
		return "", fmt.Errorf("write request: %w", err)
	}
	if err := os.Rename(path+".part", path); err != nil {
		return "", fmt.Errorf("write request: %w", err)
	}
	return path, nil
}

// answerWishes does what wishes in a directory ask for, and takes them away.
func answerWishes(dir string, fulfil func(wish) error, trouble func(error)) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return // nobody can have asked
	}
	for _, n := range names {
		if !n.Type().IsRegular() || !strings.HasSuffix(n.Name(), wishSuffix) {
			continue
		}
		path := filepath.Join(dir, n.Name())
		w, err := readWish(path)
		if err == nil {
			err = fulfil(w)
		}
		if err := errors.Join(err, os.Remove(path)); err != nil {
			trouble(err)
		}
	}
}

// readWish reads what one file asks for.
func readWish(path string) (w wish, err error) {
	if info, err := os.Lstat(path); err != nil || info.Size() > maxWish {
		return w, errors.Join(err, fmt.Errorf("read request: %s is no request", filepath.Base(path)))
	}
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &w)
	}
	if err != nil {
		return w, fmt.Errorf("read request: %w", err)
	}
	return w, nil
}

// wishTime is how long a command waits for the gateway to do what it asks.
const wishTime = 5 * time.Second

// ask leaves a wish and waits until the gateway has taken it. Without a running gateway it takes the wish back and returns
// false: nothing shall happen long after it was asked for.
func (w wish) ask(dir string) (bool, error) {
	path, err := w.leave(dir)
	if err != nil {
		return false, err
	}
	gone := func() bool {
		_, err := os.Lstat(path)
		return errors.Is(err, fs.ErrNotExist)
	}
	for deadline := time.Now().Add(wishTime); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if gone() {
			return true, nil
		}
	}
	return errors.Is(os.Remove(path), fs.ErrNotExist), nil
}
