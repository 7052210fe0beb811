package conf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// A Path is a file or directory. Documents write it relative to their own directory; decoded it is relative to the
// working directory, or absolute.
type Path string

// UnmarshalConf reads a path.
func (p *Path) UnmarshalConf(n Node) []Problem {
	s, problem := n.text()
	if problem != nil {
		return []Problem{*problem}
	}
	if s == "" {
		return []Problem{n.Problemf("the path is empty")}
	}
	*p = Path(n.resolve(s))
	return nil
}

// resolve makes a path that the document wrote usable from the working directory.
func (n Node) resolve(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(n.Dir(), path)
}

// ConfType describes the form.
func (Path) ConfType() string { return "path" }

// ConfSchema describes the form to an editor.
func (Path) ConfSchema() map[string]any { return map[string]any{"type": "string", "minLength": 1} }

// A Secret is a value that must not be shown: every way of printing it prints a mask. Documents write
// ${ENV_NAME}, also inside a text such as a URL, or {file: PATH}, whose last line end is not part of the secret.
type Secret struct{ value string }

const (
	mask           = "(secret)"
	maxSecretBytes = 64 << 10
)

// NewSecret hides a value.
func NewSecret(value string) Secret { return Secret{value} }

// Reveal is the value itself.
func (s Secret) Reveal() string { return s.value }

// IsZero reports whether no secret was given.
func (s Secret) IsZero() bool { return s.value == "" }

// String is a mask, or "" where there is nothing to hide.
func (s Secret) String() string {
	if s.value == "" {
		return ""
	}
	return mask
}

// GoString is a mask.
func (s Secret) GoString() string { return s.String() }

// MarshalText is a mask.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue is a mask.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// UnmarshalConf reads a secret and fetches it from where it is kept.
func (s *Secret) UnmarshalConf(n Node) []Problem {
	if n.Kind() == Mapping {
		return s.fromFile(n)
	}
	text, problem := n.text()
	if problem != nil {
		problem.Message = strings.Replace(problem.Message, "expected text", "expected text, ${ENV_NAME} or {file: PATH}", 1)
		return []Problem{*problem}
	}
	value, err := expand(text)
	if err != nil {
		return []Problem{n.Problemf("%v", err)}
	}
	s.value = value
	return nil
}

func (s *Secret) fromFile(n Node) []Problem {
	var in struct {
		File string `yaml:"file" required:"true"`
	}
	if p := n.Decode(&in); len(p) > 0 {
		return p
	}
	value, err := readSecret(n.resolve(in.File))
	if err != nil {
		return []Problem{n.Key("file").Problemf("%v", err)}
	}
	s.value = value
	return nil
}

// readSecret reads a file that only its owner and group may read. Where a container platform mounts secrets, every
// file is readable inside the container, and only there.
func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, cause(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, cause(err))
	}
	mounted := strings.HasPrefix(path, "/run/secrets/") || strings.HasPrefix(path, "/var/run/secrets/")
	if info.Mode().Perm()&0o004 != 0 && !mounted {
		return "", fmt.Errorf("everybody on this machine can read the secret in %s; chmod o-r it", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, cause(err))
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	switch {
	case len(data) > maxSecretBytes:
		return "", fmt.Errorf("the secret in %s has more than %d bytes", path, maxSecretBytes)
	case value == "":
		return "", fmt.Errorf("the secret in %s is empty", path)
	}
	return value, nil
}

// cause is an error without the operation and the path that came with it.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// expand puts the environment's values in place of ${NAME}. $${ stands for ${.
func expand(text string) (string, error) {
	var b strings.Builder
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			b.WriteString(text)
			return b.String(), nil
		}
		if i > 0 && text[i-1] == '$' {
			b.WriteString(text[:i-1] + "${")
			text = text[i+2:]
			continue
		}
		end := strings.IndexByte(text[i:], '}')
		if end < 0 {
			return "", fmt.Errorf("${ without its }")
		}
		name := text[i+2 : i+end]
		value := os.Getenv(name)
		if value == "" {
			return "", fmt.Errorf("the environment variable %s is not set, or empty", quote(name))
		}
		b.WriteString(text[:i] + value)
		text = text[i+end+1:]
	}
}

// ConfType describes the form.
func (Secret) ConfType() string { return "secret" }

// ConfSchema describes the form to an editor.
func (Secret) ConfSchema() map[string]any {
	return map[string]any{"oneOf": []any{
		map[string]any{"type": "string"},
		map[string]any{"type": "object", "required": []string{"file"}, "additionalProperties": false,
			"properties": map[string]any{"file": map[string]any{"type": "string"}}},
	}}
}
