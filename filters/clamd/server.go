package clamd

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gatepost/filters/peer"
)

// A server is one daemon and what it said of itself.
type server struct {
	*peer.Peer

	mu    sync.Mutex
	known Version
	asked time.Time // when known was
}

// The wire's bounds.
const (
	chunkSize  = 64 << 10
	maxReply   = 4 << 10     // HOSTILE G-17
	versionAge = time.Minute // how long an answer to VERSION is believed
)

var errTooLarge = errors.New("stream is larger than clamd takes")

// scan has r scanned and returns the name of what was found; "" is a clean stream. Anything but a whole and proper answer
// to the whole stream is an error.
func (s *server) scan(ctx context.Context, r io.Reader) (found string, err error) {
	conn, end, err := s.Dial(ctx)
	if err != nil {
		s.Note(ctx, err)
		return "", err
	}
	defer end()
	whole, came := new(atomic.Bool), make(chan answer, 1)
	go func() { came <- listen(conn, whole) }()
	sendErr := send(conn, r, whole)
	a := <-came
	found, err = a.found, a.err
	if sendErr != nil && (err == nil && found == "" || err != nil && !errors.Is(err, errTooLarge)) {
		err = sendErr // a word about what it never got is no answer
	}
	if errors.Is(err, errTooLarge) {
		s.Note(ctx, nil)
		return "", err
	}
	s.Note(ctx, err)
	if err != nil {
		return "", s.Told(ctx, "scan by", err)
	}
	return found, nil
}

// An answer is what came back for a stream.
type answer struct {
	found string
	err   error
}

// listen reads the answer while the stream is being sent: a daemon may refuse it, or find something, before its end. It
// cannot know that it is clean before it has the whole.
func listen(conn io.Reader, whole *atomic.Bool) (a answer) {
	b := bufio.NewReaderSize(conn, maxReply+1)
	_, err := b.Peek(1)
	early := !whole.Load()
	if err != nil && !errors.Is(err, io.EOF) {
		return answer{err: err}
	}
	reply, err := readReply(b)
	if err != nil {
		return answer{err: err}
	}
	a.found, a.err = verdict(reply)
	if early && a.found == "" && a.err == nil {
		a.err = errors.New("it answered before it had the whole")
	}
	return a
}

// send writes the command and the stream: chunks with their length before them, ended by an empty one (clamd(8), INSTREAM).
// whole is set before the end is sent.
func send(w io.Writer, r io.Reader, whole *atomic.Bool) error {
	if _, err := io.WriteString(w, "zINSTREAM\x00"); err != nil {
		return err
	}
	buf := make([]byte, 4+chunkSize)
	for {
		n, err := io.ReadFull(r, buf[4:])
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return fmt.Errorf("read message: %w", err)
		}
		last := err != nil
		if n > 0 {
			binary.BigEndian.PutUint32(buf, uint32(n))
			if _, err := w.Write(buf[:4+n]); err != nil {
				return err
			}
		}
		if last {
			whole.Store(true)
			_, err := w.Write([]byte{0, 0, 0, 0})
			return err
		}
	}
}

// readReply reads one reply up to its NUL, with nothing behind it.
func readReply(r io.Reader) (string, error) {
	b := bufio.NewReaderSize(r, maxReply+1)
	reply, err := b.ReadSlice(0)
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", fmt.Errorf("the reply is longer than %d bytes", maxReply)
	case errors.Is(err, io.EOF):
		return "", fmt.Errorf("the reply was cut off: %w", io.ErrUnexpectedEOF)
	case err != nil:
		return "", err
	}
	text := string(reply[:len(reply)-1])
	if b.Buffered() > 0 {
		return "", errors.New("there is more than one reply")
	}
	return text, nil
}

// verdict reads the reply to a stream.
func verdict(reply string) (found string, err error) {
	who, what, ok := strings.Cut(reply, ": ")
	switch {
	case strings.HasPrefix(reply, "INSTREAM size limit exceeded"):
		return "", errTooLarge
	case !ok || who != "stream" && !strings.HasPrefix(who, "instream("):
	case what == "OK":
		return "", nil
	case strings.HasSuffix(what, " FOUND"):
		name := peer.ASCII(strings.TrimSuffix(what, " FOUND"), 80)
		if strings.TrimSpace(name) != "" {
			return name, nil
		}
	}
	return "", fmt.Errorf("it said %q", peer.ASCII(reply, 100))
}

// command sends a command without content and reads the reply.
func (s *server) command(ctx context.Context, word string) (string, error) {
	conn, end, err := s.Dial(ctx)
	if err != nil {
		return "", err
	}
	defer end()
	if _, err := io.WriteString(conn, "z"+word+"\x00"); err != nil {
		return "", s.Told(ctx, "ask", err)
	}
	reply, err := readReply(conn)
	if err != nil {
		return "", s.Told(ctx, "ask", err)
	}
	return reply, nil
}

// ping asks for a sign of life.
func (s *server) ping(ctx context.Context) error {
	reply, err := s.command(ctx, "PING")
	if err == nil && reply != "PONG" {
		err = fmt.Errorf("ask %s: it said %q to PING", s.Name(), peer.ASCII(reply, 100))
	}
	return err
}

// A Version is what a daemon says of itself.
type Version struct {
	Engine     string    // "ClamAV 1.4.6"
	Signatures time.Time // when its daily signatures were made; zero if it has none, as with signatures of one's own
}

// version is what the daemon said of itself within the last minute, or says now.
func (s *server) version(ctx context.Context, now time.Time) (Version, error) {
	s.mu.Lock()
	known, asked := s.known, s.asked
	s.mu.Unlock()
	if !asked.IsZero() && now.Sub(asked) < versionAge && now.Sub(asked) >= 0 {
		return known, nil
	}
	v, err := s.askVersion(ctx)
	s.Note(ctx, err)
	if err != nil {
		return Version{}, err
	}
	s.mu.Lock()
	s.known, s.asked = v, now
	s.mu.Unlock()
	return v, nil
}

// askVersion asks now.
func (s *server) askVersion(ctx context.Context) (Version, error) {
	reply, err := s.command(ctx, "VERSION")
	if err != nil {
		return Version{}, err
	}
	v, ok := readVersion(reply)
	if !ok {
		return Version{}, fmt.Errorf("ask %s: it said %q to VERSION", s.Name(), peer.ASCII(reply, 100))
	}
	return v, nil
}

// readVersion reads "ClamAV 1.4.6/27999/Mon Nov 23 08:00:00 2026"; without daily signatures there is only the first field.
func readVersion(reply string) (Version, bool) {
	engine, rest, _ := strings.Cut(reply, "/")
	if !strings.HasPrefix(engine, "ClamAV ") {
		return Version{}, false
	}
	v := Version{Engine: peer.ASCII(engine, 60)}
	if _, date, ok := strings.Cut(rest, "/"); ok {
		if t, err := time.ParseInLocation(time.ANSIC, date, time.Local); err == nil {
			v.Signatures = t
		}
	}
	return v, true
}
