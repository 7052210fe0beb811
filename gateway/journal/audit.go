package journal

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"gatepost/gateway/disk"
)

// The audit is one file of what people did, which is never rotated: each line holds the hash of the line before, so
// that an edit or a deletion breaks the chain at that place (P-27). A second file holds how long the chain is and
// where it ends, so that lines missing at the end are noticed too.
const (
	auditFile = "audit.jsonl"
	headFile  = "audit.head"
)

// A link is one line of the audit.
type link struct {
	N    int64  `json:"n"`    // 1, 2, 3 …
	Prev string `json:"prev"` // SHA-256 of the line before with its line feed; zeros for the first
	Record
}

// head is where the chain ends.
type head struct {
	N    int64  `json:"n"`
	Size int64  `json:"size"`
	Hash string `json:"hash"` // of the last line
}

// noHash stands before the first line.
func noHash() string { return strings.Repeat("0", 2*sha256.Size) }

// hashLine is the hash of a line.
func hashLine(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

// A BrokenError is an audit that was altered.
type BrokenError struct {
	Offset int64 // of the first line that is not as it was written; the end of the file, if lines are missing there
	Why    string
}

func (e *BrokenError) Error() string {
	return fmt.Sprintf("audit is broken at offset %d: %s", e.Offset, e.Why)
}

// chain appends r to the audit, durably. Processes take turns by the lock of the file.
func (j *Journal) chain(r *Record) (err error) {
	if _, ok := j.fs.(disk.OS); !ok {
		return nil // a file system of a test, which has no locks between processes
	}
	f, err := os.OpenFile(filepath.Join(j.dir, auditFile), os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("open audit: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock audit: %w", err)
	}
	h, err := j.end(f)
	if err != nil {
		return err
	}
	b, err := j.enc.encode(link{N: h.N + 1, Prev: h.Hash, Record: *r})
	if err != nil {
		return err
	}
	defer j.enc.put(b)
	if _, err := f.WriteAt(b.line, h.Size); err != nil {
		return fmt.Errorf("write audit: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync audit: %w", err)
	}
	return j.writeHead(head{N: h.N + 1, Size: h.Size + int64(len(b.line)), Hash: hashLine(b.line)})
}

// end is where the next line goes. Lines beyond the head were written by a process that was killed before it wrote the
// head: whole ones count, a torn one is cut.
func (j *Journal) end(f *os.File) (head, error) {
	h, err := j.readHead()
	if errors.Is(err, os.ErrNotExist) {
		h, err = head{Hash: noHash()}, nil
	}
	if err != nil {
		return h, fmt.Errorf("read audit: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		return h, fmt.Errorf("read audit: %w", err)
	}
	if st.Size() < h.Size {
		return h, &BrokenError{Offset: st.Size(), Why: "lines are missing at the end"}
	}
	from := h.Size
	_, err = eachLine(io.NewSectionReader(f, from, st.Size()-from), func(at int64, line []byte) error {
		var l link
		if json.Unmarshal(line, &l) != nil || l.N != h.N+1 || l.Prev != h.Hash || from+at != h.Size {
			return errStop
		}
		h.N, h.Hash, h.Size = l.N, hashLine(line), h.Size+int64(len(line))
		return nil
	})
	if err == nil && h.Size < st.Size() {
		err = f.Truncate(h.Size)
	}
	if err != nil {
		return h, fmt.Errorf("mend audit: %w", err)
	}
	return h, nil
}

// readHead reads the head file.
func (r *Reader) readHead() (h head, err error) {
	f, err := r.fs.Open(filepath.Join(r.dir, headFile))
	if err != nil {
		return h, err
	}
	line, err := io.ReadAll(io.LimitReader(f, disk.MaxLine))
	if err == nil {
		err = disk.CheckLine(line)
	}
	if err == nil {
		err = json.Unmarshal(line, &h)
	}
	return h, errors.Join(err, f.Close())
}

// writeHead puts the head file in place.
func (j *Journal) writeHead(h head) error {
	b, err := j.enc.encode(h)
	if err != nil {
		return err
	}
	defer j.enc.put(b)
	return disk.WriteFile(j.fs, filepath.Join(j.dir, headFile), func(w io.Writer) error {
		_, err := w.Write(b.line)
		return err
	})
}

// VerifyAudit reads the audit through and returns how many lines it has. A *BrokenError names the first offset at
// which it is not as it was written.
func (r *Reader) VerifyAudit() (lines int64, err error) {
	f, err := r.fs.Open(filepath.Join(r.dir, auditFile))
	if errors.Is(err, os.ErrNotExist) {
		if h, herr := r.readHead(); herr == nil && h.N > 0 {
			return 0, &BrokenError{Why: "the file is missing"}
		}
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("verify audit: %w", err)
	}
	lines, err = r.verifyAudit(f)
	if cerr := f.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("verify audit: %w", cerr)
	}
	return lines, err
}

// Audit gives fn every line of the audit, oldest first, without a look at the chain. An error of fn ends it and is returned.
func (r *Reader) Audit(fn func(*Record) error) error {
	f, err := r.fs.Open(filepath.Join(r.dir, auditFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read audit: %w", err)
	}
	_, err = eachLine(f, func(_ int64, line []byte) error {
		var l link
		if json.Unmarshal(line, &l) != nil {
			return nil // VerifyAudit says where
		}
		return fn(&l.Record)
	})
	if cerr := f.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("read audit: %w", cerr)
	}
	return err
}

// verifyAudit follows the chain.
func (r *Reader) verifyAudit(f disk.File) (int64, error) {
	h, err := r.readHead() // before the lines: lines may be added meanwhile
	if err != nil {
		return 0, fmt.Errorf("verify audit: %w", err)
	}
	at := head{Hash: noHash()}
	got, err := eachLine(f, func(off int64, line []byte) error {
		var l link
		switch {
		case off != at.Size:
			return &BrokenError{at.Size, "damaged line"}
		case json.Unmarshal(line, &l) != nil || l.N != at.N+1 || l.Prev != at.Hash:
			return &BrokenError{off, "the line does not follow the one before"}
		}
		at.N, at.Hash, at.Size = l.N, hashLine(line), off+int64(len(line))
		if at.N == h.N && (at.Hash != h.Hash || at.Size != h.Size) {
			return &BrokenError{off, "the line is not the one that was last"}
		}
		return nil
	})
	switch {
	case err != nil:
		return at.N, err
	case at.N < h.N && got.damaged+btoi(got.torn) > 0:
		return at.N, &BrokenError{at.Size, "damaged line"}
	case at.N < h.N:
		return at.N, &BrokenError{at.Size, "lines are missing at the end"}
	case got.damaged > 0:
		return at.N, &BrokenError{at.Size, "damaged line"}
	}
	return at.N, nil
}

// btoi counts a condition.
func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
