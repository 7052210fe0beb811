package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// build compiles the binary once for all tests of a process, and once more with failpoints for those that need them.
var build, buildWithFailpoints = sync.OnceValues(func() (string, error) { return compile() }),
	sync.OnceValues(func() (string, error) { return compile("-tags", "failpoints") })

func compile(flags ...string) (string, error) {
	dir, err := os.MkdirTemp("", "gatepost-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "gatepost")
	cmd := exec.Command("go", append(append([]string{"build"}, flags...), "-o", path, "gatepost/cmd/gatepost")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build gatepost: %w\n%s", err, out)
	}
	return path, nil
}

// Binary is the path of a freshly built gatepost.
func Binary(t testing.TB) string {
	t.Helper()
	return built(t, build)
}

// BinaryWithFailpoints is the path of a gatepost that GATEPOST_FAILPOINTS has an effect on; see package failpoint.
func BinaryWithFailpoints(t testing.TB) string {
	t.Helper()
	return built(t, buildWithFailpoints)
}

func built(t testing.TB, build func() (string, error)) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Need skips the test by name when a program is not on this machine; in CI that is a failure.
func Need(t testing.TB, program string) string {
	t.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin") {
		path := filepath.Join(dir, program)
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			return path
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed; make setup installs it", program)
	}
	t.Skipf("%s is not installed; make setup installs it", program)
	return ""
}

// Unpacked is the path of a program of a package that setup only unpacks, such as "usr/sbin/exim4", and the environment
// that it runs in. Without it the test is skipped by name; in CI that is a failure.
func Unpacked(t testing.TB, program string) (path string, env []string) {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(cache, "gatepost-test", "root")
	path = filepath.Join(root, program)
	if _, err := os.Stat(path); err == nil {
		libs, _ := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu*"))
		return path, append(os.Environ(), "LD_LIBRARY_PATH="+strings.Join(libs, ":"))
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not there; make setup unpacks it", program)
	}
	t.Skipf("%s is not there; make setup unpacks it", program)
	return "", nil
}

// Corpus is the path of a folder of the shared corpora; without it the test is skipped by name, in CI it fails.
func Corpus(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	path := filepath.Join(dir, "..", "shared", "corpora", name)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("corpus %s is missing", name)
	}
	t.Skipf("corpus %s is not here", name)
	return ""
}
