package disk

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

// A sealed file is a magic line, the id of the key (8 bytes), a salt (16 bytes), and then pieces of 64 KiB, each with AES-256
// in Galois/counter mode under a key that HKDF-SHA256 makes of key and salt. The nonce of a piece is its number, and a last
// byte that is 1 for the last piece, which alone may be shorter: a piece that is altered, moved, left out or the last by
// truncation does not open.
const (
	sealMagic = "gatepost-sealed 1\n"
	sealSalt  = 16
	sealPiece = 64 << 10
	sealTag   = 16
	keyID     = 8
	keySize   = 32
	sealHead  = len(sealMagic) + keyID + sealSalt
)

// Errors of opening what is sealed.
var (
	// ErrNoKey means that a file is sealed with a key that is not among ours. The file is whole as far as is known.
	ErrNoKey = errors.New("sealed with a key that is not here")
	// ErrSeal means that a sealed file was altered or is not whole.
	ErrSeal = errors.New("seal is broken")
)

// Keys are what files are sealed with (the first) and opened with (any). A nil Keys seals nothing and opens what is not
// sealed.
type Keys struct {
	first [keySize]byte
	all   map[[keyID]byte][keySize]byte
}

// Name is that of the key that files are sealed with, in hexadecimal; it does not tell the key. Empty: nothing is sealed.
func (k *Keys) Name() string {
	if k == nil {
		return ""
	}
	id := idOf(k.first)
	return hex.EncodeToString(id[:])
}

// Has reports whether the key with a name is among k.
func (k *Keys) Has(name string) bool {
	b, err := hex.DecodeString(name)
	if k == nil || err != nil || len(b) != keyID {
		return false
	}
	_, ok := k.all[[keyID]byte(b)]
	return ok
}

// SealedSize is how many bytes Seal makes of n.
func SealedSize(n int64) int64 { return int64(sealHead) + n + sealTag*pieces(n) }

// pieces is in how many pieces n bytes are sealed.
func pieces(n int64) int64 { return max(1, (n+sealPiece-1)/sealPiece) }

// ParseKeys reads keys, one a line, each 64 hexadecimal digits; blank lines and those that begin with # do not count. No key
// is nil. To change the key, put a new one first and leave the old ones until nothing is sealed with them any more.
func ParseKeys(text string) (*Keys, error) {
	var k *Keys
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		b, err := hex.DecodeString(line)
		if err != nil || len(b) != keySize {
			return nil, fmt.Errorf("read keys: want %d hexadecimal digits a line, such as openssl rand -hex %d makes", 2*keySize, keySize)
		}
		key := [keySize]byte(b)
		if k == nil {
			k = &Keys{first: key, all: map[[keyID]byte][keySize]byte{}}
		}
		k.all[idOf(key)] = key
	}
	return k, nil
}

// idOf names a key without telling it.
func idOf(key [keySize]byte) [keyID]byte {
	sum := sha256.Sum256(append([]byte("gatepost key id\n"), key[:]...))
	return [keyID]byte(sum[:keyID])
}

// aead is the cipher of one file.
func aead(key [keySize]byte, salt []byte) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, key[:], salt, "gatepost sealed file", keySize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// nonce is that of the piece numbered n.
func nonce(n uint64, last bool) []byte {
	b := make([]byte, 12)
	binary.BigEndian.PutUint64(b[3:], n)
	if last {
		b[11] = 1
	}
	return b
}

// Seal gives write a writer whose bytes reach w sealed.
func (k *Keys) Seal(w io.Writer, write func(io.Writer) error) error {
	if k == nil {
		return write(w)
	}
	head := make([]byte, 0, sealHead)
	id := idOf(k.first)
	head = append(append(head, sealMagic...), id[:]...)
	head = append(head, make([]byte, sealSalt)...)
	salt := head[sealHead-sealSalt:]
	if _, err := rand.Read(salt); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	a, err := aead(k.first, salt)
	if err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	s := &sealer{w: w, aead: a, piece: make([]byte, 0, sealPiece+a.Overhead())}
	if err := write(s); err != nil {
		return err
	}
	return s.flush(true)
}

// A sealer seals what is written.
type sealer struct {
	w     io.Writer
	aead  cipher.AEAD
	piece []byte
	n     uint64
}

// Write takes bytes in.
func (s *sealer) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		if len(s.piece) == sealPiece {
			if err := s.flush(false); err != nil {
				return total - len(p), err
			}
		}
		n := min(len(p), sealPiece-len(s.piece))
		s.piece = append(s.piece, p[:n]...)
		p = p[n:]
	}
	return total, nil
}

// flush seals one piece.
func (s *sealer) flush(last bool) error {
	_, err := s.w.Write(s.aead.Seal(s.piece[:0], nonce(s.n, last), s.piece, nil))
	s.piece, s.n = s.piece[:0], s.n+1
	return err
}

// Unseal gives what was sealed into r, or r itself if nothing was. Its errors are ErrNoKey, ErrSeal and those of r.
func (k *Keys) Unseal(r io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(r, 4<<10)
	head, err := b.Peek(sealHead)
	if !bytes.HasPrefix(head, []byte(sealMagic)) {
		return b, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: its head is missing", ErrSeal)
	}
	a, err := k.opener(head)
	if err != nil {
		return nil, err
	}
	if _, err := b.Discard(sealHead); err != nil {
		return nil, err
	}
	return &unsealer{r: b, aead: a, piece: make([]byte, sealPiece+a.Overhead())}, nil
}

// opener is the cipher of the file that begins with head.
func (k *Keys) opener(head []byte) (cipher.AEAD, error) {
	id := [keyID]byte(head[len(sealMagic):])
	if k == nil {
		return nil, fmt.Errorf("%w: %x", ErrNoKey, id)
	}
	key, ok := k.all[id]
	if !ok {
		return nil, fmt.Errorf("%w: %x", ErrNoKey, id)
	}
	a, err := aead(key, head[sealHead-sealSalt:sealHead])
	if err != nil {
		return nil, fmt.Errorf("unseal: %w", err)
	}
	return a, nil
}

// A Sealed reads what is sealed, at any place. It is safe for concurrent use.
type Sealed struct {
	r    io.ReaderAt
	aead cipher.AEAD
	size int64 // of what is sealed

	mu    sync.Mutex
	piece []byte // that was opened last
	plain []byte
	at    int64 // its number; -1: none
}

// UnsealAt gives the size bytes that were sealed into r, which it reads from 0 to SealedSize(size).
func (k *Keys) UnsealAt(r io.ReaderAt, size int64) (*Sealed, error) {
	head := make([]byte, sealHead)
	if n, err := r.ReadAt(head, 0); n < sealHead {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: its head is missing", ErrSeal)
		}
		return nil, err
	}
	if !bytes.HasPrefix(head, []byte(sealMagic)) {
		return nil, fmt.Errorf("%w: its head is another", ErrSeal)
	}
	a, err := k.opener(head)
	if err != nil {
		return nil, err
	}
	return &Sealed{r: r, aead: a, size: size, at: -1}, nil
}

// Size is the number of bytes that were sealed.
func (s *Sealed) Size() int64 { return s.size }

// ReadAt reads what was sealed. A piece that does not open is ErrSeal.
func (s *Sealed) ReadAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if off < 0 || off >= s.size {
		return 0, io.EOF
	}
	done := 0
	for done < len(p) && off < s.size {
		if err := s.open(off / sealPiece); err != nil {
			return done, err
		}
		n := copy(p[done:], s.plain[off%sealPiece:])
		done, off = done+n, off+int64(n)
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// open opens the piece numbered n; s.mu is held.
func (s *Sealed) open(n int64) error {
	if n == s.at {
		return nil
	}
	if s.piece == nil {
		s.piece = make([]byte, min(sealPiece, s.size)+sealTag)
	}
	last := n == pieces(s.size)-1
	want := sealPiece
	if last {
		want = int(s.size - n*sealPiece)
	}
	sealed := s.piece[:want+sealTag]
	s.at = -1
	if got, err := s.r.ReadAt(sealed, int64(sealHead)+n*(sealPiece+sealTag)); got < len(sealed) {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: piece %d is missing", ErrSeal, n)
		}
		return err
	}
	plain, err := s.aead.Open(sealed[:0], nonce(uint64(n), last), sealed, nil)
	if err != nil {
		return fmt.Errorf("%w at piece %d", ErrSeal, n)
	}
	s.plain, s.at = plain, n
	return nil
}

// An unsealer reads sealed pieces.
type unsealer struct {
	r     *bufio.Reader
	aead  cipher.AEAD
	piece []byte
	rest  []byte
	n     uint64
	err   error
}

// Read gives what was sealed.
func (u *unsealer) Read(p []byte) (int, error) {
	for len(u.rest) == 0 {
		if u.err != nil {
			return 0, u.err
		}
		u.next()
	}
	n := copy(p, u.rest)
	u.rest = u.rest[n:]
	return n, nil
}

// next opens one piece.
func (u *unsealer) next() {
	n, err := io.ReadFull(u.r, u.piece)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
	case err != nil:
		u.err = err
		return
	}
	_, end := u.r.Peek(1)
	last := end != nil
	if u.rest, err = u.aead.Open(u.piece[:0], nonce(u.n, last), u.piece[:n], nil); err != nil {
		u.rest, u.err = nil, fmt.Errorf("%w at piece %d", ErrSeal, u.n)
		return
	}
	u.n++
	if last {
		u.err = io.EOF
	}
}
