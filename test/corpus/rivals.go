package main

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A rival is another filter. What it says is in the order of the mail.
type rival interface {
	name() string
	threshold() float64 // its own
	train(mail []sample) error
	score(mail []sample) ([]said, error)
	close()
}

// A said is what a rival says of one message, and whether what it learnt had a part in it.
type said struct {
	Score   float64 `json:"score"`
	Learned bool    `json:"learned"`
}

//go:embed spamassassin.pl
var spamassassinScript string

// spamassassin is Apache SpamAssassin, as Debian ships it, without network tests.
type spamassassin struct {
	dir    string
	script string
	bayes  bool
}

// newSpamassassin is nil where it is not installed. What it learnt in dir before stays.
func newSpamassassin(dir string) (*spamassassin, error) {
	if exec.Command("perl", "-MMail::SpamAssassin", "-e", "1").Run() != nil {
		return nil, nil
	}
	s := &spamassassin{dir: dir, script: filepath.Join(dir, "spamassassin.pl")}
	if err := os.MkdirAll(filepath.Join(dir, "state"), 0o700); err != nil {
		return nil, err
	}
	return s, os.WriteFile(s.script, []byte(spamassassinScript), 0o600)
}

func (s *spamassassin) name() string {
	out, err := exec.Command("perl", "-MMail::SpamAssassin", "-e", "print Mail::SpamAssassin::Version()").Output()
	if err != nil {
		return "SpamAssassin"
	}
	return "SpamAssassin " + string(out)
}

func (s *spamassassin) threshold() float64 { return 5 }
func (s *spamassassin) close()             {}

// call runs the script over mail and returns its lines.
func (s *spamassassin) call(do string, mail []sample) ([]string, error) {
	var in bytes.Buffer
	for _, m := range mail {
		kind := "ham"
		if m.spam {
			kind = "spam"
		}
		fmt.Fprintln(&in, kind, m.path)
	}
	cmd := exec.Command("perl", s.script, do, filepath.Join(s.dir, "state"), strconv.FormatBool(s.bayes),
		fmt.Sprintf("Received: from %s (%s [%s]) by mx.recipient.example (Postfix) with ESMTP id 4F0000 for <%s>", helo, helo, client, rcpt))
	var errs bytes.Buffer
	cmd.Stdin, cmd.Stderr = &in, &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("SpamAssassin: %w\n%s", err, errs.Bytes())
	}
	return strings.Fields(string(out)), nil
}

func (s *spamassassin) train(mail []sample) error {
	s.bayes = true
	done := filepath.Join(s.dir, "learnt")
	if _, err := os.Stat(done); err == nil {
		return nil
	}
	if _, err := s.call("learn", mail); err != nil {
		return err
	}
	return os.WriteFile(done, nil, 0o600)
}

// shards is how many processes score at once.
const shards = 2

func (s *spamassassin) score(mail []sample) ([]said, error) {
	size := (len(mail) + shards - 1) / shards
	pieces := slices.Collect(slices.Chunk(mail, max(size, 1)))
	scores, errs := make([][]said, len(pieces)), make([]error, len(pieces))
	var all sync.WaitGroup
	for i, piece := range pieces {
		all.Go(func() {
			words, err := s.call("score", piece)
			if err == nil {
				scores[i], err = sayings(words, len(piece))
			}
			errs[i] = err
		})
	}
	all.Wait()
	return slices.Concat(scores...), errors.Join(errs...)
}

// sayings reads a score and 1 or 0 for each message.
func sayings(words []string, n int) ([]said, error) {
	if len(words) != 2*n {
		return nil, fmt.Errorf("%d words for %d messages", len(words), n)
	}
	list := make([]said, n)
	for i := range list {
		v, err := strconv.ParseFloat(words[2*i], 64)
		if err != nil {
			return nil, err
		}
		list[i] = said{v, words[2*i+1] == "1"}
	}
	return list, nil
}

// rspamd is Rspamd, as Debian ships it, without lists and other servers' data; it learns into a Redis of its own.
type rspamd struct {
	redis, daemon *exec.Cmd
	scanner       string
	controller    string
	version       string
}

// newRspamd is nil where it or Redis is not installed.
func newRspamd(dir, nameServer string) (*rspamd, error) {
	for _, program := range []string{"rspamd", "redis-server"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, nil
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	ports, err := freePorts(4)
	if err != nil {
		return nil, err
	}
	r := &rspamd{scanner: "http://" + ports[0], controller: "http://" + ports[1]}
	if out, err := exec.Command("rspamd", "--version").Output(); err == nil {
		r.version = strings.TrimSpace(strings.TrimPrefix(string(out), "Rspamd daemon version "))
	}
	local, state := filepath.Join(dir, "conf"), filepath.Join(dir, "state")
	files := map[string]string{
		"options.inc":           fmt.Sprintf("dns { nameserver = [\"%s:10\"]; timeout = 1s; retransmits = 1; }\nlocal_addrs = [];\n", nameServer),
		"worker-normal.inc":     fmt.Sprintf("bind_socket = %q; count = 1;\n", ports[0]),
		"worker-controller.inc": fmt.Sprintf("bind_socket = %q; secure_ip = [\"127.0.0.1\"];\n", ports[1]),
		"worker-proxy.inc":      fmt.Sprintf("bind_socket = %q; milter = no;\n", ports[3]),
		"redis.conf":            fmt.Sprintf("servers = %q;\n", ports[2]),
		"classifier-bayes.conf": "backend = \"redis\";\nautolearn = false;\n",
		"logging.inc":           "type = \"file\"; filename = \"$LOGDIR/rspamd.log\"; level = \"error\";\n",
	}
	for _, off := range []string{"fuzzy_check", "greylist", "neural", "rbl", "surbl", "asn", "phishing", "mx_check", "reputation", "replies", "ratelimit", "history_redis", "url_redirector"} {
		files[off+".conf"] = "enabled = false;\n"
	}
	for name, text := range files {
		path := filepath.Join(local, "local.d", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(state, 0o777); err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(ports[2])
	if err != nil {
		return nil, err
	}
	r.redis = exec.Command("redis-server", "--bind", host, "--port", port, "--save", "", "--appendonly", "no")
	r.daemon = exec.Command("rspamd", "-f", "-i", "-c", "/etc/rspamd/rspamd.conf", "--var=LOCAL_CONFDIR="+local, "--var=DBDIR="+state, "--var=RUNDIR="+state, "--var=LOGDIR="+state)
	for _, cmd := range []*exec.Cmd{r.redis, r.daemon} {
		if err := cmd.Start(); err != nil {
			r.close()
			return nil, err
		}
	}
	if err := r.wait(); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// freePorts are addresses of the loopback that nobody listens on.
func freePorts(n int) ([]string, error) {
	var list []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		list = append(list, l.Addr().String())
	}
	return list, nil
}

// patience is how long Rspamd may take to compile its patterns.
const patience = 10 * time.Minute

// wait waits until both workers answer.
func (r *rspamd) wait() error {
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		time.Sleep(200 * time.Millisecond)
		var a, b *http.Response
		if a, err = http.Get(r.scanner + "/ping"); err != nil {
			continue
		}
		a.Body.Close()
		if b, err = http.Get(r.controller + "/ping"); err == nil {
			b.Body.Close()
			return nil
		}
	}
	return fmt.Errorf("ask Rspamd: %w", err)
}

func (r *rspamd) name() string       { return "Rspamd " + r.version }
func (r *rspamd) threshold() float64 { return 6 } // add_header: what goes to the junk folder

func (r *rspamd) close() {
	for _, cmd := range []*exec.Cmd{r.daemon, r.redis} {
		if cmd != nil && cmd.Process != nil {
			cmd.Process.Signal(os.Interrupt)
			cmd.Wait()
		}
	}
}

// post sends a message in the one envelope.
func (r *rspamd) post(url string, m sample) (map[string]any, error) {
	f, err := os.Open(m.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	req, err := http.NewRequest("POST", url, bufio.NewReader(f))
	if err != nil {
		return nil, err
	}
	// Learn-Type: bulk has it learn what it would have known, too.
	for k, v := range map[string]string{"IP": client, "Helo": helo, "Hostname": helo, "From": mailFrom, "Rcpt": rcpt, "Learn-Type": "bulk"} {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusAlreadyReported {
		return nil, nil // learnt already, or nothing to be learnt from it
	}
	var answer map[string]any
	if err := json.Unmarshal(b, &answer); err != nil {
		return nil, fmt.Errorf("%s: %s %.200s", url, resp.Status, b)
	}
	return answer, nil
}

func (r *rspamd) train(mail []sample) error {
	for _, m := range mail {
		url := r.controller + "/learnham"
		if m.spam {
			url = r.controller + "/learnspam"
		}
		if _, err := r.post(url, m); err != nil {
			return err
		}
	}
	return nil
}

func (r *rspamd) score(mail []sample) ([]said, error) {
	list := make([]said, len(mail))
	for i, m := range mail {
		answer, err := r.post(r.scanner+"/checkv2", m)
		if err != nil {
			return nil, err
		}
		v, ok := answer["score"].(float64)
		if !ok {
			return nil, errors.New("Rspamd gave no score for " + m.path)
		}
		list[i].Score = v
		symbols, _ := answer["symbols"].(map[string]any)
		list[i].Learned = symbols["BAYES_SPAM"] != nil || symbols["BAYES_HAM"] != nil
	}
	return list, nil
}
