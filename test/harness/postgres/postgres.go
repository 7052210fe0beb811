// Package postgres starts PostgreSQL servers for tests, with data of their own, on free ports of the loopback address.
package postgres

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatepost/test/harness"
	"gatepost/test/harness/badsink"
)

// A Server is one PostgreSQL. It takes TLS, and passwords by SCRAM.
type Server struct {
	CA string // file that signs its certificate, which is for 127.0.0.1

	dir  string
	port string
	cmd  *exec.Cmd
	log  *bytes.Buffer
	made int
}

// Password is that of the role gatepost.
const Password = "very:secret@/?#"

// program finds a program of the server, which Debian keeps for each version apart.
func program(t testing.TB, name string) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) > 0 {
		return found[len(found)-1]
	}
	return harness.Need(t, name)
}

// servant makes cmd run as the user postgres where the test is root, whom PostgreSQL refuses.
func servant(t testing.TB, cmd *exec.Cmd, owned ...string) *exec.Cmd {
	t.Helper()
	if os.Getuid() != 0 {
		return cmd
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	for _, path := range owned {
		if err := os.Chown(path, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return cmd
}

// Start runs a server for one test. settings are lines of postgresql.conf.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	s := prepare(t, settings...)
	t.Cleanup(s.Remove)
	s.Run(t)
	return s
}

// prepare makes the files of a server.
func prepare(t testing.TB, settings ...string) *Server {
	t.Helper()
	initdb := program(t, "initdb")
	dir, err := os.MkdirTemp("", "gatepost-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{dir: dir}
	cert, err := badsink.SelfSigned(time.Now().Add(24*time.Hour), "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(cert.PEM, []byte("-----BEGIN CERTIFICATE"))
	word, key := filepath.Join(dir, "password"), filepath.Join(dir, "key.pem")
	s.CA = filepath.Join(dir, "cert.pem")
	for path, text := range map[string]string{word: Password + "\n", key: string(cert.PEM[:at]), s.CA: string(cert.PEM[at:])} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(initdb, "-D", filepath.Join(dir, "data"), "-U", "gatepost", "-A", "scram-sha-256", "--pwfile", word, "-E", "UTF8", "--locale", "C.UTF-8", "--no-sync")
	cmd.Dir = dir
	if out, err := servant(t, cmd, dir, word, key, s.CA).CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, s.port, _ = strings.Cut(l.Addr().String(), ":")
	l.Close()
	conf := fmt.Sprintf("listen_addresses = '127.0.0.1'\nport = %s\nunix_socket_directories = '%s'\nssl = on\nssl_cert_file = '%s'\nssl_key_file = '%s'\nshared_buffers = 32MB\n%s\n",
		s.port, dir, s.CA, key, strings.Join(settings, "\n"))
	f, err := os.OpenFile(filepath.Join(dir, "data", "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(conf)
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Run starts the server, again after Kill or Stop, and waits until it answers.
func (s *Server) Run(t testing.TB) {
	t.Helper()
	s.log = &bytes.Buffer{}
	s.cmd = servant(t, exec.Command(program(t, "postgres"), "-D", filepath.Join(s.dir, "data")))
	s.cmd.Dir, s.cmd.Stderr = s.dir, s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.Await(t)
}

// Await waits until the server takes queries.
func (s *Server) Await(t testing.TB) {
	t.Helper()
	harness.Eventually(t, "PostgreSQL answers", func() bool {
		_, err := s.psql("postgres", "SELECT 1")
		return err == nil
	})
}

// psql runs a statement.
func (s *Server) psql(database, statement string) (string, error) {
	cmd := exec.Command("psql", "-X", "-A", "-t", "-q", "-h", "127.0.0.1", "-p", s.port, "-U", "gatepost", "-c", statement, database)
	cmd.Env = append(os.Environ(), "PGPASSWORD="+Password, "PGCONNECT_TIMEOUT=20")
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return strings.TrimSpace(string(out)), err
}

// Ask runs a statement in the database of a url and returns what it yields, columns apart by |.
func (s *Server) Ask(t testing.TB, url, statement string) string {
	t.Helper()
	path, _, _ := strings.Cut(url, "?")
	out, err := s.psql(path[strings.LastIndexByte(path, '/')+1:], statement)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Database makes an empty database and returns its url.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	s.made++
	name := fmt.Sprintf("gatepost_%d", s.made)
	if _, err := s.psql("postgres", "CREATE DATABASE "+name+" TEMPLATE template0"); err != nil {
		t.Fatal(err)
	}
	return s.URL(name)
}

// URL is that of a database by its name.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://gatepost:%s@127.0.0.1:%s/%s", "very%3Asecret%40%2F%3F%23", s.port, database)
}

// Kill ends the server and all its processes at once, as a loss of power would, but for what the operating system holds.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Stop ends the server; sessions are cut off.
func (s *Server) Stop() { s.end(syscall.SIGINT) }

// Signal sends sig to the server and all its processes.
func (s *Server) Signal(sig syscall.Signal) {
	for _, pid := range s.processes() {
		syscall.Kill(pid, sig)
	}
}

// processes are the server and those that it started.
func (s *Server) processes() []int {
	own := s.cmd.Process.Pid
	list := []int{own}
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", own, own))
	for _, f := range strings.Fields(string(children)) {
		if pid, err := strconv.Atoi(f); err == nil {
			list = append(list, pid)
		}
	}
	return list
}

func (s *Server) end(sig syscall.Signal) {
	if s.cmd == nil {
		return
	}
	pids := s.processes()
	if sig != syscall.SIGKILL {
		pids = pids[:1]
	}
	for _, pid := range pids {
		syscall.Kill(pid, sig)
	}
	s.cmd.Wait()
	s.cmd = nil
}

// Remove ends the server and removes its files.
func (s *Server) Remove() {
	if s.cmd != nil {
		s.Signal(syscall.SIGCONT)
	}
	s.Kill()
	for range 50 { // what it started ends a moment after it
		if os.RemoveAll(s.dir) == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// shared is the server of a test program.
var shared struct {
	sync.Mutex
	server *Server
}

// Around runs the tests of a program, and ends the server that Fresh started for them.
func Around(m *testing.M) int {
	code := m.Run()
	if shared.server != nil {
		shared.server.Remove()
	}
	return code
}

// Fresh is the url of an empty database, on one server for all tests of a program whose TestMain is Around.
func Fresh(t testing.TB) string {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		s := prepare(t)
		s.Run(t)
		shared.server = s
	}
	return shared.server.Database(t)
}

// places are the urls of databases by the directory that would hold an SQLite file.
var places sync.Map

// For is the store of a test that keeps its files in dir: a file there, or, for the subtests of a test that is named
// …InPostgreSQL, a database, the same one for the same dir.
func For(t testing.TB, dir string) string {
	if !strings.Contains(t.Name(), "InPostgreSQL") {
		return "sqlite:" + filepath.Join(dir, "gatepost.db")
	}
	url, ok := places.Load(dir)
	if !ok {
		url = Fresh(t)
		places.Store(dir, url)
	}
	return url.(string)
}
