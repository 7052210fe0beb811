package main

import (
	"context"
	"os"
	"time"
)

// watchEvery is how often the files of the configuration are looked at.
const watchEvery = 2 * time.Second

// A stamp tells one state of a file from another.
type stamp struct {
	size  int64
	mtime time.Time
}

// stamps looks at the configuration, the policy, the files that its lists name, the rule packs, and the files of recipients
// and countries.
func (s *service) stamps() map[string]stamp {
	paths := append([]string{s.cfg.File}, s.extra...)
	for path := range s.sources {
		paths = append(paths, path)
	}
	for path := range s.packs {
		paths = append(paths, path)
	}
	for _, p := range s.cfg.Rules { // a directory changes when a pack comes or goes
		paths = append(paths, string(p))
	}
	now := make(map[string]stamp, len(paths))
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil {
			now[path] = stamp{info.Size(), info.ModTime()}
		}
	}
	return now
}

// reloadFiles reloads and says which state of the files that was: a file that changed meanwhile counts as it was before,
// so that the change is still seen. It reports whether what the files say was taken over.
func (s *service) reloadFiles(ctx context.Context) (now map[string]stamp, ok bool) {
	before := s.stamps()
	ok = s.reload(ctx)
	now = s.stamps()
	for path, was := range before {
		if _, ok := now[path]; ok {
			now[path] = was
		}
	}
	return now, ok
}

// A watch notices that files changed and then stayed the same for one look, so that a file being written is not read half.
type watch struct{ loaded, last map[string]stamp }

// changed reports whether now should be loaded.
func (w *watch) changed(now map[string]stamp) bool {
	settled := same(now, w.last)
	w.last = now
	if !settled || same(now, w.loaded) {
		return false
	}
	w.loaded = now
	return true
}

func same(a, b map[string]stamp) bool {
	if len(a) != len(b) {
		return false
	}
	for path, s := range a {
		if other, ok := b[path]; !ok || other.size != s.size || !other.mtime.Equal(s.mtime) {
			return false
		}
	}
	return true
}
