package attach

import (
	"bytes"
	"encoding/binary"
	"strings"

	"github.com/gabriel-vasile/mimetype"
)

// typeOf is the media type by content, without parameters.
func typeOf(data []byte) string {
	t, _, _ := strings.Cut(mimetype.Detect(data).String(), ";")
	return t
}

// program recognises programs by their first bytes.
func program(b []byte) string {
	switch {
	case len(b) >= 64 && b[0] == 'M' && b[1] == 'Z' && peHeader(b):
		return "Windows program (PE)"
	case len(b) >= 2 && b[0] == 'M' && b[1] == 'Z':
		return "DOS or Windows program (MZ)"
	case bytes.HasPrefix(b, []byte("\x7fELF")):
		return "Unix program (ELF)"
	case hasAnyPrefix(b, "\xfe\xed\xfa\xce", "\xfe\xed\xfa\xcf", "\xce\xfa\xed\xfe", "\xcf\xfa\xed\xfe"):
		return "macOS program (Mach-O)"
	case bytes.HasPrefix(b, []byte("L\x00\x00\x00\x01\x14\x02\x00")):
		return "Windows shortcut (LNK)"
	case bytes.HasPrefix(b, []byte("[InternetShortcut]")), bytes.HasPrefix(b, []byte("[{000214A0-0000-0000-C000-000000000046}]")):
		return "Internet shortcut (URL)"
	case bytes.HasPrefix(b, []byte("dex\n03")):
		return "Android program (DEX)"
	case bytes.HasPrefix(b, []byte("\xca\xfe\xba\xbe")):
		return "Java class or macOS program"
	case bytes.HasPrefix(b, []byte("ITSF\x03\x00\x00\x00")):
		return "compiled HTML help (CHM)"
	case bytes.HasPrefix(b, []byte("#!")) && len(b) > 3 && (b[2] == '/' || b[2] == ' '):
		return interpreted
	}
	return ""
}

// peHeader reports whether the offset at 0x3c leads to a PE signature.
func peHeader(b []byte) bool {
	at := int(binary.LittleEndian.Uint32(b[0x3c:0x40]))
	return at >= 0 && at+4 <= len(b) && string(b[at:at+4]) == "PE\x00\x00"
}

func hasAnyPrefix(b []byte, prefixes ...string) bool {
	for _, p := range prefixes {
		if bytes.HasPrefix(b, []byte(p)) {
			return true
		}
	}
	return false
}

// interpreted is the kind of a program's text whose first line names its interpreter.
const interpreted = "script with an interpreter line"
