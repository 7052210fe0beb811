package quarantine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"gatepost/filters/mail"
	"gatepost/gateway/disk"
)

// Names on disk come from our hashes and ids alone (P-29):
//
//	ab/abcd….zst        content by its SHA-256, one zstd frame; shared by all entries with that content
//	ab/abcd….ID.json    record of one entry: a checked line (see package disk)
//	corrupt/…           what was found in their place and could not be read
const (
	blobSuffix   = ".zst"
	recordSuffix = ".json"
	corruptDir   = "corrupt"
)

// validID reports whether id may be part of a file name: letters, digits, - and _, at most 64.
func validID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for _, c := range []byte(id) {
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// validSum reports whether s is a SHA-256 in lower-case digits.
func validSum(s string) bool {
	return len(s) == 2*sha256.Size && strings.Trim(s, "0123456789abcdef") == ""
}

// shard is the directory of a hash.
func (s *Store) shard(sum string) string { return filepath.Join(s.dir, sum[:2]) }

// blob is the file of content.
func (s *Store) blob(sum string) string { return filepath.Join(s.shard(sum), sum+blobSuffix) }

// recordFile is the file of an entry's record.
func (s *Store) recordFile(sum, id string) string {
	return filepath.Join(s.shard(sum), sum+"."+id+recordSuffix)
}

// parseName is the hash, and for a record the id, that a file name stands for.
func parseName(dir, name string) (sum, id string, ok bool) {
	sum, ok = strings.CutSuffix(name, blobSuffix)
	if !ok {
		if name, ok = strings.CutSuffix(name, recordSuffix); !ok {
			return "", "", false
		}
		sum, id, ok = strings.Cut(name, ".")
		ok = ok && validID(id)
	}
	return sum, id, ok && validSum(sum) && sum[:2] == dir
}

// A record is what stands beside the content: the entry whole.
type record struct {
	V int `json:"v"`
	Entry
	Terms  []string        `json:"terms,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
}

// recordVersion is the version of the record format.
const recordVersion = 1

// encodeRecord makes the checked line of e.
func encodeRecord(e *Entry) ([]byte, error) {
	object, err := json.Marshal(record{V: recordVersion, Entry: *e, Terms: e.Terms, Result: e.Result})
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return disk.AppendLine(nil, object)
}

// decodeRecord reads what encodeRecord made. Every failure is ErrDamaged.
func decodeRecord(line []byte) (*Entry, error) {
	if err := disk.CheckLine(line); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	var r record
	if err := json.Unmarshal(line, &r); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if r.V != recordVersion || !validID(r.ID) || !validSum(r.SHA256) || r.Size < 0 {
		return nil, fmt.Errorf("%w: record of version %d is not one of ours", ErrDamaged, r.V)
	}
	e := r.Entry
	e.Terms, e.Result = r.Terms, r.Result
	return &e, nil
}

// readRecord reads the record of an entry.
func (s *Store) readRecord(sum, id string) (*Entry, error) {
	f, err := s.fs.Open(s.recordFile(sum, id))
	if err != nil {
		return nil, fmt.Errorf("open record: %w", err)
	}
	line, err := io.ReadAll(io.LimitReader(f, disk.MaxLine+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read record: %w", err)
	}
	e, err := decodeRecord(line)
	if err == nil && (e.ID != id || e.SHA256 != sum) {
		return nil, fmt.Errorf("%w: record of another entry", ErrDamaged)
	}
	return e, err
}

// writeRecord puts the record of e in place; its name is durable once the shard is synced.
func (s *Store) writeRecord(e *Entry) error {
	line, err := encodeRecord(e)
	if err != nil {
		return err
	}
	name := s.recordFile(e.SHA256, e.ID)
	return disk.Place(s.fs, name+disk.Unfinished, name, func(w io.Writer) error {
		_, err := w.Write(line)
		return err
	})
}

// writeBlob puts the content in place, unless it is there whole, and reports the bytes it takes. What was compressed
// must be what was judged: bytes with another hash are refused (P-08).
func (s *Store) writeBlob(e *Entry, src mail.Source) (stored int64, err error) {
	name := s.blob(e.SHA256)
	if n, err := s.verifyBlob(e.SHA256, e.Size); err == nil {
		return n, nil
	}
	h := sha256.New()
	err = disk.Place(s.fs, filepath.Join(s.shard(e.SHA256), e.SHA256+"."+e.ID+disk.Unfinished), name, func(w io.Writer) error {
		c := &counter{w: w}
		err := s.keys.Seal(c, func(w io.Writer) error { return s.compress(w, h, src) })
		stored = c.n
		if err == nil && hex.EncodeToString(h.Sum(nil)) != e.SHA256 {
			err = fmt.Errorf("%w: content changed since it was received", ErrDamaged)
		}
		return err
	})
	return stored, err
}

// compress writes src to w as one frame and its bytes to h.
func (s *Store) compress(w io.Writer, h hash.Hash, src mail.Source) error {
	b, ok := src.(interface{ Bytes() []byte })
	if !ok || b.Bytes() == nil {
		return s.codec.Compress(w, io.TeeReader(io.NewSectionReader(src, 0, src.Size()), h))
	}
	h.Write(b.Bytes())
	frame, err := s.codec.Append(nil, b.Bytes())
	if err != nil {
		return err
	}
	_, err = w.Write(frame)
	return err
}

// counter counts what passes.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// A reading takes content in.
type reading func(io.Reader) error

// expandFile gives read the content of a blob.
func (s *Store) expandFile(sum string, read reading) (stored int64, err error) {
	f, err := s.fs.Open(s.blob(sum))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, disk.ErrNotRegular) {
		return 0, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return 0, fmt.Errorf("open content: %w", err)
	}
	stored, err = f.Size()
	if err == nil {
		var plain io.Reader
		if plain, err = s.keys.Unseal(f); err == nil {
			err = s.codec.Expand(plain, read)
		}
	}
	return stored, errors.Join(err, f.Close())
}

// verifyBlob is verifyContent for what is kept in files.
func (s *Store) verifyBlob(sum string, size int64) (stored int64, err error) {
	return s.verifyContent(context.Background(), sum, size)
}

// verifyContent reads content through and checks it against hash and size.
func (s *Store) verifyContent(ctx context.Context, sum string, size int64) (stored int64, err error) {
	h := sha256.New()
	var n int64
	stored, err = s.expand(ctx, sum, func(r io.Reader) (err error) {
		n, err = io.Copy(h, io.LimitReader(r, size+1))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("verify content: %w", err)
	}
	if n != size || hex.EncodeToString(h.Sum(nil)) != sum {
		return 0, fmt.Errorf("verify content: %w", ErrDamaged)
	}
	return stored, nil
}

// sumOf is the SHA-256 of src; a spool.Body knows it already.
func sumOf(src mail.Source) (string, error) {
	if b, ok := src.(interface{ Sum() [sha256.Size]byte }); ok {
		sum := b.Sum()
		return hex.EncodeToString(sum[:]), nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(src, 0, src.Size())); err != nil {
		return "", fmt.Errorf("read content: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// termsOf takes the words worth searching from a result: codes and texts of findings, rules, names of attachments.
func termsOf(result []byte) []string {
	type facts struct {
		Findings    []struct{ Code, Text string }
		Attachments []struct {
			Name  string
			Names []string
		}
	}
	var r struct {
		facts
		Report     facts
		Recipients []struct{ Because []struct{ Rule string } }
	}
	if json.NewDecoder(bytes.NewReader(result)).Decode(&r) != nil {
		return nil
	}
	var terms []string
	for _, f := range append(r.Findings, r.Report.Findings...) {
		terms = append(terms, f.Code, f.Text)
	}
	rules := map[string]bool{"": true}
	for _, v := range r.Recipients {
		for _, b := range v.Because {
			if !rules[b.Rule] {
				rules[b.Rule] = true
				terms = append(terms, b.Rule)
			}
		}
	}
	for _, a := range append(r.Attachments, r.Report.Attachments...) {
		terms = append(append(terms, a.Name), a.Names...)
	}
	return terms
}
