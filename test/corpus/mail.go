package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"gatepost/gateway/mailbox"
)

// A source is one public set of mail.
type source struct {
	name string
	dir  string // below the corpora
	spam bool
}

// sources are the sets that are measured.
func sources() []source {
	return []source{
		{"easy ham 2002", "spamham-spamassassin/ham", false},
		{"list ham 2019-26", "ham-modern-usrp/eml", false},
		{"hard ham 2002", "spamham-spamassassin/hardham", false},
		{"spam 2002", "spamham-spamassassin/spam", true},
		{"phish 2019-24", "phishing-pot-300/eml", true},
	}
}

// A sample is one message, stripped and laid out for every program to read.
type sample struct {
	*source
	name string // of its file
	path string // stripped, with CRLF
	half int    // 0 to learn from, 1 to judge
}

// prepare strips every message of the corpora into dir.
func prepare(corpora, dir string) ([]sample, error) {
	var all []sample
	for _, s := range sources() {
		files, err := filepath.Glob(filepath.Join(corpora, s.dir, "*"))
		if err != nil {
			return nil, err
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("there is no mail in %s", filepath.Join(corpora, s.dir))
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				return nil, err
			}
			m := sample{source: &s, name: filepath.Base(f), half: mailbox.Half(filepath.Base(f))}
			m.path = filepath.Join(dir, fmt.Sprint(m.half), strings.ReplaceAll(s.name, " ", "-"), m.name)
			if err := os.MkdirAll(filepath.Dir(m.path), 0o755); err != nil {
				return nil, err
			}
			if err := os.WriteFile(m.path, strip(b), 0o644); err != nil {
				return nil, err
			}
			all = append(all, m)
		}
	}
	return all, nil
}

// collectors begin the names of fields that the servers wrote which collected the mail.
var collectors = strings.Fields(`x-spam x-ham-report x-microsoft-antispam x-ms- x-eop x-forefront x-exchange x-office365 x-sid
	x-incoming x-sender-ip x-message- x-originating- x-antiabuse x-account-key x-uidl x-mozilla x-barracuda x-asg x-amavis x-virus
	x-original-to x-gmail x-google-smtp x-received x-status x-keywords x-rspam x-authority x-me- x-xfs x-forwarded-encrypted
	authentication- received-spf arc- delivered-to delivery-date return-path envelope-to status`)

// relays are the hosts of those servers.
var relays = regexp.MustCompile(`(?i)outlook\.com|lfdr\.de|csmining\.org|spamassassin\.taint\.org|jmason\.org|netnoteinc\.com|slashnull\.org|example\.com`)

// strip removes what collecting servers left: a classifier that learns "came through that server" is worthless.
func strip(b []byte) []byte {
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	if bytes.HasPrefix(b, []byte("From ")) {
		_, b, _ = bytes.Cut(b, []byte("\n"))
	}
	head, body, _ := bytes.Cut(b, []byte("\n\n"))
	var out bytes.Buffer
	for len(head) > 0 {
		n := 0
		for { // a field with its folds
			i := bytes.IndexByte(head[n:], '\n')
			if i < 0 {
				n = len(head)
				break
			}
			n += i + 1
			if n == len(head) || head[n] != ' ' && head[n] != '\t' {
				break
			}
		}
		field := bytes.TrimSuffix(head[:n], []byte("\n"))
		head = head[n:]
		if !left(field) {
			if bytes.HasPrefix(bytes.ToLower(field), []byte("subject:")) {
				field = bytes.ReplaceAll(bytes.ReplaceAll(field, []byte("[SPAM] "), nil), []byte("[SPAM]"), nil)
			}
			out.Write(field)
			out.WriteByte('\n')
		}
	}
	out.WriteByte('\n')
	out.Write(body)
	return bytes.ReplaceAll(out.Bytes(), []byte("\n"), []byte("\r\n"))
}

// left reports whether a collecting server wrote the field.
func left(field []byte) bool {
	name, _, _ := strings.Cut(strings.ToLower(string(field)), ":")
	for _, p := range collectors {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return name == "received" && relays.Match(field)
}
