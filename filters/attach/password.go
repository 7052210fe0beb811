package attach

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"errors"
	"hash/crc32"
	"regexp"
	"slices"
	"strings"
)

// The bounds of trying passwords.
const (
	maxWords     = 200      // of one message's text
	maxSlowWords = 8        // where one try costs a tenth of a second: 7z and RAR
	maxTries     = 2000     // of one message
	maxWordText  = 64 << 10 // octets of text that are looked at
)

// announced finds what stands behind a word for a password.
var announced = regexp.MustCompile(`(?i)(?:passw?or[dt]|passwd|passcode|passphrase|pwd|\bpw|\bpin|\bcode|\bkey|kennwort|mot de passe|contrase\p{L}a|senha|parola|wachtwoord|пароль|密码|密碼|口令|パスワード)[^\S\n]*(?:is|ist|est|es|to open[^\n:]{0,40}|for[^\n:]{0,40}|是|为|為)?[\s:=：“"'«(\[<-]*([^\s]{2,64})`)

// words are what the text of a message offers as passwords, the likeliest first.
func (w *walk) words() []string {
	if w.tried != nil || !w.guess {
		return w.tried
	}
	text := w.m.Subject() + "\n" + w.m.Text()
	text = text[:min(len(text), maxWordText)]
	list := []string{}
	add := func(word string) {
		for _, form := range []string{word, strings.Trim(word, ".,;:!?\"'()[]{}<>“”«»。，；：！？「」（）")} {
			if len(form) >= 2 && len(form) <= 64 && len(list) < maxWords && !slices.Contains(list, form) {
				list = append(list, form)
			}
		}
	}
	for _, m := range announced.FindAllStringSubmatch(text, 32) {
		add(m[1])
	}
	list = append(list, "infected") // by which samples of malware are sent
	for _, word := range strings.Fields(text) {
		if strings.ContainsAny(word, "0123456789") {
			add(word)
		}
	}
	for _, word := range strings.Fields(text) {
		add(word)
	}
	w.tried = list
	return list
}

// opened states that the text gave the password away.
func (w *walk) opened(it *item, name string) {
	w.find(it, "attach.encrypted", "An attachment is encrypted.", name)
	w.find(it, "attach.password-in-text", "The password of an encrypted attachment stands in the message.", name)
}

// try pays for trying one password.
func (w *walk) try() bool {
	w.tries++
	return w.tries <= maxTries && w.budget.alive() == nil
}

// unlock decrypts an entry of a ZIP file by the words of the text. locked is the decrypted, still packed content.
func (w *walk) unlock(e zipEntry, packed []byte) (plain []byte, ok bool) {
	for _, word := range w.words() {
		if !w.try() {
			return nil, false
		}
		var err error
		if e.method == 99 {
			plain, err = decryptAES(e, packed, word)
		} else {
			plain, err = decryptPKWARE(e, packed, word)
		}
		if err != nil {
			continue
		}
		// The check of a password is weak: only what inflates to its checksum is right.
		inner := e
		if e.method == 99 {
			inner.method = e.inner
		}
		r, err := zipReader(inner, plain)
		if err != nil {
			continue
		}
		data, err := w.budget.read(r, int64(len(plain)))
		if err == nil && (crc32.ChecksumIEEE(data) == e.crc || e.method == 99 && e.crc == 0) {
			return data, true
		}
	}
	return nil, false
}

var errPassword = errors.New("wrong password")

// decryptPKWARE decrypts by the traditional method (APPNOTE 6.1).
func decryptPKWARE(e zipEntry, packed []byte, password string) ([]byte, error) {
	if e.flags&(1<<6) != 0 || len(packed) < 12 {
		return nil, errPassword // strong encryption is another method
	}
	keys := [3]uint32{0x12345678, 0x23456789, 0x34567890}
	update := func(c byte) {
		keys[0] = crc32.IEEETable[byte(keys[0])^c] ^ keys[0]>>8
		keys[1] = (keys[1]+keys[0]&0xff)*134775813 + 1
		keys[2] = crc32.IEEETable[byte(keys[2])^byte(keys[1]>>24)] ^ keys[2]>>8
	}
	for i := range len(password) {
		update(password[i])
	}
	octet := func(c byte) byte {
		t := keys[2] | 2
		c ^= byte(uint16(t) * uint16(t^1) >> 8)
		update(c)
		return c
	}
	var last byte
	for _, c := range packed[:12] {
		last = octet(c)
	}
	if last != byte(e.crc>>24) && last != byte(e.stamp>>8) {
		return nil, errPassword
	}
	plain := make([]byte, len(packed)-12)
	for i, c := range packed[12:] {
		plain[i] = octet(c)
	}
	return plain, nil
}

// decryptAES decrypts by the method of WinZip: PBKDF2 with 1,000 rounds, AES in counter mode, HMAC-SHA-1.
func decryptAES(e zipEntry, packed []byte, password string) ([]byte, error) {
	if e.strength < 1 || e.strength > 3 {
		return nil, errPassword
	}
	size := 8 + 8*int(e.strength) // of the key; half of it is the salt's
	salt := size / 2
	if len(packed) < salt+2+10 {
		return nil, errPassword
	}
	keys, err := pbkdf2.Key(sha1.New, password, packed[:salt], 1000, 2*size+2)
	if err != nil || !bytes.Equal(keys[2*size:], packed[salt:salt+2]) {
		return nil, errPassword
	}
	body, sum := packed[salt+2:len(packed)-10], packed[len(packed)-10:]
	mac := hmac.New(sha1.New, keys[size:2*size])
	mac.Write(body)
	if !hmac.Equal(mac.Sum(nil)[:10], sum) {
		return nil, errPassword
	}
	block, err := aes.NewCipher(keys[:size])
	if err != nil {
		return nil, err
	}
	return littleCounter(block, body), nil
}

// littleCounter is counter mode whose counter begins at 1 and grows from its first octet.
func littleCounter(block cipher.Block, b []byte) []byte {
	out := make([]byte, len(b))
	var counter, pad [aes.BlockSize]byte
	for i := 0; i < len(b); i += aes.BlockSize {
		for j := range counter {
			if counter[j]++; counter[j] != 0 {
				break
			}
		}
		block.Encrypt(pad[:], counter[:])
		for j := i; j < min(i+aes.BlockSize, len(b)); j++ {
			out[j] = b[j] ^ pad[j-i]
		}
	}
	return out
}

// slowWords are the likeliest words, for formats that make every try costly.
func (w *walk) slowWords() []string {
	words := w.words()
	return words[:min(len(words), maxSlowWords)]
}
