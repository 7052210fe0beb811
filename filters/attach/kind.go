package attach

import (
	"bytes"
	"encoding/binary"
	"strings"

	"github.com/gabriel-vasile/mimetype"

	"gatepost/filters/mail"
)

// typeOf is the media type by content, without parameters.
func typeOf(data []byte) string {
	t, _, _ := strings.Cut(mimetype.Detect(data).String(), ";")
	return t
}

// executable names the kind of program that any reading of a part is; empty for none.
func executable(readings []mail.Reading) string {
	for _, r := range readings {
		if k := program(r.Data); k != "" {
			return k
		}
	}
	return ""
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
	case bytes.HasPrefix(b, []byte("#!")) && len(b) > 3 && (b[2] == '/' || b[2] == ' '):
		return "script with an interpreter line"
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

// macros reports whether a reading is an office document of the ZIP kind with a part that holds macros. The part's name
// stands uncompressed in every ZIP header.
func macros(readings []mail.Reading) bool {
	for _, r := range readings {
		if bytes.HasPrefix(r.Data, []byte("PK\x03\x04")) && bytes.Contains(r.Data, []byte("vbaProject.bin")) {
			return true
		}
	}
	return false
}

// dangerous lists extensions that a double click runs.
const dangerous = " exe com scr pif bat cmd vbs vbe js jse wsf wsh hta cpl msi msp jar ps1 lnk reg iso img vhd vhdx one "

// harmless lists extensions that people open without a thought.
const harmless = " pdf doc docx xls xlsx ppt pptx txt rtf jpg jpeg png gif bmp html htm zip csv mp3 mp4 "

// doubleExtension finds a name such as invoice.pdf.exe among the candidates.
func doubleExtension(names []string) (outer, inner string, ok bool) {
	for _, n := range names {
		parts := strings.Split(strings.ToLower(strings.TrimRight(n, ". ")), ".")
		if len(parts) < 3 {
			continue
		}
		last, before := strings.TrimSpace(parts[len(parts)-1]), strings.TrimSpace(parts[len(parts)-2])
		if listed(dangerous, last) && listed(harmless, before) {
			return before, last, true
		}
	}
	return "", "", false
}

func listed(list, word string) bool {
	return word != "" && !strings.Contains(word, " ") && strings.Contains(list, " "+word+" ")
}
