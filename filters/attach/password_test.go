package attach

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/rules/hashlist"
)

// lockedRAR is a RAR 5 archive with one stored file under a password.
func lockedRAR(name, password string, data []byte) []byte {
	salt, iv := []byte("0123456789abcdef"), []byte("fedcba9876543210")
	key, _ := pbkdf2.Key(sha256.New, password, salt, 1<<5, 32)
	block, _ := aes.NewCipher(key)
	packed := append(slices.Clone(data), make([]byte, -len(data)&15)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(packed, packed)

	out := []byte("Rar!\x1a\x07\x01\x00")
	header := func(body []byte) {
		head := append(binary.AppendUvarint(nil, uint64(len(body))), body...)
		out = append(binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(head)), head...)
	}
	header([]byte{1, 0, 0})
	extra := append(append([]byte{1, 0, 0, 5}, salt...), iv...)
	extra = append(binary.AppendUvarint(nil, uint64(len(extra))), extra...)
	body := []byte{2, 3}
	body = binary.AppendUvarint(body, uint64(len(extra)))
	body = binary.AppendUvarint(body, uint64(len(packed)))
	body = append(body, 4)
	body = binary.AppendUvarint(body, uint64(len(data)))
	body = append(body, 0)
	body = binary.LittleEndian.AppendUint32(body, crc32.ChecksumIEEE(data))
	body = append(body, 0, 0)
	body = binary.AppendUvarint(body, uint64(len(name)))
	header(append(append(body, name...), extra...))
	out = append(out, packed...)
	header([]byte{5, 0, 0})
	return out
}

// saying examines an archive in a message whose text is given.
func saying(t *testing.T, cfg Config, text string, data []byte) filters.Facts {
	t.Helper()
	m := letter("a.bin", "application/octet-stream", data)
	raw := make([]byte, m.Source.Size())
	m.Source.ReadAt(raw, 0)
	raw = []byte(strings.Replace(string(raw), "\r\n\r\nhello\r\n", "\r\n\r\n"+text+"\r\n", 1))
	facts, err := New(cfg).Check(context.Background(), &mail.Mail{Message: mail.Parse(mail.Memory(raw))})
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

// lockedSamples are all archives under the password secret that can be opened.
func lockedSamples(t *testing.T) map[string][]byte {
	all := map[string][]byte{"rar 5": lockedRAR("e.com", "secret", eicar)}
	for name, data := range samples(t) {
		if strings.HasPrefix(name, "locked") && name != "locked.arj" {
			all[name] = data
		}
	}
	return all
}

// G-06
func TestThePasswordThatTheTextGivesAwayOpensAnArchive(t *testing.T) {
	for name, data := range lockedSamples(t) {
		for _, text := range []string{"Please see the file. Password: secret", "the archive opens with \"secret\".", "=?x?= Passwort lautet: secret!"} {
			facts := saying(t, Config{Passwords: true}, text, data)
			got := codes(facts)
			if !slices.Contains(got, "attach.eicar") || !slices.Contains(got, "attach.encrypted") || !slices.Contains(got, "attach.password-in-text") || slices.Contains(got, "attach.unscannable.encrypted") {
				t.Errorf("%s, %q: %v", name, text, got)
			}
		}
	}
}

// G-06
func TestWithoutItsPasswordAnArchiveIsUnscannable(t *testing.T) {
	for name, data := range lockedSamples(t) {
		for text, cfg := range map[string]Config{"Password: wrong": {Passwords: true}, "Password: secret": {}} {
			got := codes(saying(t, cfg, text, data))
			if slices.Contains(got, "attach.eicar") || !slices.Contains(got, "attach.encrypted") || !slices.Contains(got, "attach.unscannable.encrypted") {
				t.Errorf("%s, %q: %v", name, text, got)
			}
		}
	}
}

func TestLikelyPasswordsAreTriedFirst(t *testing.T) {
	for text, want := range map[string]string{
		"Hello Bob, the password for the file is: Tr0ub4dor&3.": "Tr0ub4dor&3", "解压密码：abc123": "abc123", "PW = 2026": "2026", "Mot de passe : soleil": "soleil",
	} {
		m := mail.Parse(mail.Memory("Content-Type: text/plain; charset=utf-8\r\n\r\n" + text + "\r\n"))
		words := (&walk{m: m, guess: true}).words()
		if i := slices.Index(words, want); i < 0 || i >= maxSlowWords {
			t.Errorf("%q: %q at %d of %q", text, want, i, words)
		}
	}
	m := mail.Parse(mail.Memory("\r\n" + strings.Repeat("word1 another2 ", 50_000)))
	if n := len((&walk{m: m, guess: true}).words()); n > maxWords+1 {
		t.Errorf("%d words", n)
	}
}

func TestAFileOnTheSitesListIsMalwareWhereverItStands(t *testing.T) {
	other := slices.Clone(longText())
	other = append(other, other[:5000]...)
	list, err := hashlist.Parse(strings.NewReader(fmt.Sprintf("%x Trojan.One\n%s Loader.Two\n%x Old.Three until=2020-01-01\n", sha256.Sum256([]byte("one")), hashlist.FuzzyOf(other), sha256.Sum256([]byte("three")))))
	if err != nil {
		t.Fatal(err)
	}
	changed := slices.Clone(other)
	copy(changed[7000:], "XX")
	for content, want := range map[string]string{"one": "Trojan.One", string(changed): "Loader.Two, alike", "three": "", "two": ""} {
		facts := saying(t, Config{Blocked: []hashlist.List{*list}}, "hello", zipped("x", tarred("y", []byte(content))))
		found := ""
		for _, f := range facts.Findings {
			if f.Code == "attach.malware" {
				found = f.Proof[0].What
			}
		}
		if (found == "") != (want == "") || !strings.Contains(found, want) {
			t.Errorf("%.10q: %q, want %q", content, found, want)
		}
	}
}
