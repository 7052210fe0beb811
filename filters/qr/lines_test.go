package qr

import (
	"strings"
	"testing"
)

func TestACodeInBlockCharactersIsRead(t *testing.T) {
	m := code(t, link)
	var full, half, inverse strings.Builder
	for y := range m.GetHeight() {
		for x := range m.GetWidth() {
			full.WriteString(map[bool]string{true: "██", false: "  "}[m.Get(x, y)])
		}
		full.WriteString("\r\n")
	}
	for y := 0; y < m.GetHeight(); y += 2 {
		for x := range m.GetWidth() {
			top, bottom := m.Get(x, y), y+1 < m.GetHeight() && m.Get(x, y+1)
			half.WriteString(map[[2]bool]string{{true, true}: "█", {true, false}: "▀", {false, true}: "▄", {false, false}: " "}[[2]bool{top, bottom}])
			inverse.WriteString(map[[2]bool]string{{false, false}: "█", {false, true}: "▀", {true, false}: "▄", {true, true}: " "}[[2]bool{top, bottom}])
		}
		half.WriteString("\n")
		inverse.WriteString("\n")
	}
	for name, text := range map[string]string{"full": full.String(), "half": half.String(), "inverse": inverse.String()} {
		var r Reader
		if got, err := r.Lines("Scan this:\n\n" + text + "\nto log in"); got != link || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	var r Reader
	if got, _ := r.Lines(strings.Repeat("██ a bar chart ██\n", 50) + strings.Repeat("█████\n", 50)); got != "" {
		t.Errorf("a chart is read as %q", got)
	}
}
