package yara

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/filters/peer"
	"gatepost/rules/conf"
)

// Config is the filter's section. Without rules there is nothing to look for and the filter does not run.
type Config struct {
	Node      conf.Node         `yaml:",node"`
	Rules     []conf.Path       `yaml:"rules" default:"[]" doc:"Files of YARA rules, and directories of which every .yar and .yara file is read. Without any, the filter does not run."`
	Program   string            `yaml:"program" default:"yara" doc:"The program that scans: YARA 4 from 4.2 on, by its path or by its name."`
	Compiler  string            `yaml:"compiler" default:"yarac" doc:"The program that compiles the rules when the configuration is read; of the same version."`
	Define    map[string]string `yaml:"define" default:"{}" doc:"External variables that the rules name, such as filename, with the value that they always have."`
	Notes     []string          `yaml:"notes" default:"[]" doc:"Names of rules that are mere notes, whatever they say of themselves: what they find is yara.info."`
	Timeout   time.Duration     `yaml:"timeout" default:"15s" min:"1s" max:"40s" doc:"How long all scans of one message may take together."`
	Processes int               `yaml:"processes" default:"2" min:"1" max:"100" doc:"Most processes at once, each a processor's work. The others wait their turn."`
	MaxBytes  conf.Size         `yaml:"max_bytes" default:"25MiB" min:"64KiB" max:"1GiB" doc:"Largest file that is scanned. What is larger is unscannable, never clean."`
	Memory    conf.Size         `yaml:"memory" default:"1GiB" min:"128MiB" max:"64GiB" doc:"Most address space of one process, which holds the compiled rules and the file that it scans."`
}

// CheckConf looks at what becomes part of a command.
func (c *Config) CheckConf(n conf.Node) (problems []conf.Problem) {
	for name, value := range c.Define {
		if at := n.Key("define").Key(name); !isName(name) {
			problems = append(problems, at.Problemf("%q is no name of a variable: letters, digits and _, at most 128", name))
		} else if len(value) > 1000 || strings.ContainsRune(value, 0) {
			problems = append(problems, at.Problemf("a value has at most 1000 octets, and none that is zero"))
		}
	}
	for i, name := range c.Notes {
		if !isName(name) {
			problems = append(problems, n.Key("notes").Item(i).Problemf("%q is no name of a rule: letters, digits and _, at most 128", name))
		}
	}
	return problems
}

// isName reports whether s can be an identifier of YARA.
func isName(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
	return s != "" && len(s) <= 128 && strings.Contains(letters, s[:1]) && strings.Trim(s, letters+"0123456789") == ""
}

// Files gives out every file of a message: filters/attach's Filter does.
type Files interface {
	Each(ctx context.Context, m *mail.Message, give func(filters.Stream) error) (blind []filters.Finding, err error)
}

// A Filter is the yara filter. It remembers nothing of messages.
type Filter struct {
	cfg   Config
	files Files
	book  *book
	slots chan struct{}
}

// New makes the filter; nil if no rules are configured. It compiles the rules and has the program use them once: what is wrong
// with either is a problem of the configuration. Filters of the same configuration share what the shelf keeps.
func New(cfg Config, files Files, shelf *Shelf) (*Filter, []conf.Problem) {
	if len(cfg.Rules) == 0 {
		return nil, nil
	}
	b, problems := shelf.open(cfg)
	if len(problems) > 0 {
		return nil, problems
	}
	return &Filter{cfg: cfg, files: files, book: b, slots: make(chan struct{}, max(cfg.Processes, 1))}, nil
}

// Check implements filters.Filter.
func (f *Filter) Check(ctx context.Context, m *mail.Mail) (filters.Facts, error) {
	return f.Follow(ctx, m, filters.Report{})
}

// Follow implements filters.Follower: what could not be opened is said here only if attach has not looked, for it says the same.
// An error means that nobody looked, or not at everything.
func (f *Filter) Follow(ctx context.Context, m *mail.Mail, before filters.Report) (filters.Facts, error) {
	if err := m.Err(); err != nil {
		return filters.Facts{}, err
	}
	ctx, cancel := peer.Within(ctx, f.cfg.Timeout)
	defer cancel()
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	case <-ctx.Done():
		return filters.Facts{}, fmt.Errorf("wait for a free process: %w", context.Cause(ctx))
	}
	q := &inquiry{f: f, ctx: ctx, counts: map[string]int{}}
	defer q.drop()
	err := q.take(filters.Stream{Where: "message", ReaderAt: m.Source, Size: m.Source.Size()})
	var blind []filters.Finding
	if err == nil {
		blind, err = f.files.Each(ctx, m.Message, q.take)
	}
	if errors.Is(err, errLate) {
		q.find(filters.State(Codes(), codeLimit, filters.Evidence{Where: "message", What: "what is inside takes longer to open than there is time to scan it"}))
		err = nil
	}
	if err == nil {
		err = q.scan()
	}
	q.closed(blind, before.Attachments != nil)
	return q.facts, err
}

// How much is given to one process: what is more goes to the next.
const (
	maxBatchFiles = 256
	maxBatchBytes = 32 << 20
)

// An inquiry is the scan of one message.
type inquiry struct {
	f       *Filter
	ctx     context.Context
	streams []filters.Stream // those of files, without their content
	files   []*os.File       // waiting for the next process
	octets  int64            // in them
	late    bool             // a scan had no time for all of its files
	facts   filters.Facts
	counts  map[string]int
}

// errLate ends a walk through containers that leaves too little time for the scan.
var errLate = errors.New("too late to scan more")

// take copies one thing for the next process and starts it when there is enough. The message alone decides how much that is, so
// what cannot be scanned in time is a finding about the message.
func (q *inquiry) take(s filters.Stream) error {
	if s.Size > int64(q.f.cfg.MaxBytes) {
		q.limit(s, fmt.Sprintf("%d bytes, more than max_bytes %d", s.Size, q.f.cfg.MaxBytes))
		return nil
	}
	file, err := filled("part", io.NewSectionReader(s, 0, s.Size))
	if err != nil {
		return fmt.Errorf("copy %s: %w", s.Where, err)
	}
	s.ReaderAt = nil
	q.streams, q.files, q.octets = append(q.streams, s), append(q.files, file), q.octets+s.Size
	if len(q.files) >= maxBatchFiles || q.octets >= maxBatchBytes {
		err = q.scan()
	}
	if end, ok := q.ctx.Deadline(); err == nil && ok && time.Until(end) < min(2*time.Second, q.f.cfg.Timeout/4) {
		err = errLate
	}
	return err
}

// drop gives the files back.
func (q *inquiry) drop() {
	for _, file := range q.files {
		file.Close()
	}
	q.streams, q.files, q.octets = nil, nil, 0
}

// scan has one process look at the files that wait.
func (q *inquiry) scan() error {
	defer q.drop()
	if len(q.files) == 0 {
		return nil
	}
	a, c, err := q.f.book.scan(q.ctx, q.f.cfg, q.files)
	const first = firstFile + 1
	for i := range a.hits {
		h := &a.hits[i]
		q.hit(h, q.streams[h.file-first])
	}
	for _, doubt := range c.doubts {
		q.find(filters.State(Codes(), codeLimit, filters.Evidence{Where: "message", What: mail.Printable(doubt, 200)}))
	}
	flood := errors.Is(err, errFlood)
	if err != nil && !flood {
		return fmt.Errorf("run %s: %w", q.f.book.program, err)
	}
	for i, s := range q.streams {
		switch file := first + i; {
		case a.files[file]:
		case c.late[file]:
			q.late = true
			q.limit(s, "YARA had no time for all of it")
		case c.failed[file] != "":
			return fmt.Errorf("run %s: it could not scan %s: %s", q.f.book.program, s.Where, c.failed[file])
		case flood:
			q.limit(s, fmt.Sprintf("the rules match more than %d MiB of output can tell", maxOutput>>20))
		case q.late, c.overdue:
			q.limit(s, "YARA had no time for it")
		default:
			return fmt.Errorf("run %s: it ended well and did not look at %s: %s", q.f.book.program, s.Where, firstLine(c.other))
		}
	}
	return nil
}
