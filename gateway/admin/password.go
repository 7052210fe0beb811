package admin

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// cost is what one hash takes: passes, KiB of memory, lanes (RFC 9106).
type cost struct {
	time, memory uint32
	threads      uint8
}

// maxPassword bounds what is hashed, in bytes.
const maxPassword = 1024

// hash returns the PHC form, which carries its own cost: $argon2id$v=19$m=65536,t=3,p=1$salt$key.
func (c cost) hash(password string, salt []byte) string {
	key := argon2.IDKey([]byte(password), salt, c.time, c.memory, c.threads, 32)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.memory, c.time, c.threads,
		b64.EncodeToString(salt), b64.EncodeToString(key))
}

// matches reports whether password is the one hashed. A hash that cannot be read, or costs more than any of ours
// would, matches nothing.
func matches(hash, password string) bool {
	f := strings.Split(hash, "$")
	if len(f) != 6 || f[1] != "argon2id" || f[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return false
	}
	var c cost
	if _, err := fmt.Sscanf(f[3], "m=%d,t=%d,p=%d", &c.memory, &c.time, &c.threads); err != nil {
		return false
	}
	if c.time == 0 || c.time > 10 || c.memory > 256<<10 || c.threads == 0 || c.threads > 4 {
		return false
	}
	salt, err := base64.RawStdEncoding.DecodeString(f[4])
	if err != nil {
		return false
	}
	want, err := base64.RawStdEncoding.DecodeString(f[5])
	if err != nil || len(want) < 16 || len(want) > 64 {
		return false
	}
	got := argon2.IDKey([]byte(password), salt, c.time, c.memory, c.threads, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1
}

// commonPasswords are words that long yet guessable passwords are made of; what remains of a password without them
// must still be long enough to be worth something.
const commonPasswords = "password passw0rd passwort qwertyuiop qwerty 1234567890 123456789 12345678 abcdefghijkl letmein welcome " +
	"administrator admin gatepost changeme iloveyou secret monkey dragon football baseball"

// checkPassword refuses what is short, common, or the name over again.
func checkPassword(password, name string) error {
	if len(password) > maxPassword {
		return errBadPassword
	}
	if utf8.RuneCountInString(password) < 12 {
		return ErrWeak
	}
	rest := strings.ToLower(password)
	for w := range strings.FieldsSeq(commonPasswords + " " + name) {
		rest = strings.ReplaceAll(rest, w, "")
	}
	seen := make(map[rune]bool)
	for _, r := range rest {
		seen[r] = true
	}
	if len(seen) < 5 {
		return ErrWeak
	}
	return nil
}
