package qr

import "strings"

// The size of a code in lines: the smallest has 21 modules, two to a line where half blocks are used.
const (
	minLines = 11
	maxLines = 200
	maxCells = 400
)

// Lines is the text of a QR code that is written in block characters, as programs for terminals do; empty if there is none.
func (r *Reader) Lines(text string) (code string, err error) {
	if strings.Count(text, "\u2588") < 40 && strings.Count(text, "\u2580") < 40 || r.spent() { // █ ▀
		return "", nil
	}
	defer func() {
		if recover() != nil {
			code, err = "", ErrCrash
		}
	}()
	var block []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if strings.ContainsAny(line, "\u2588\u2580\u2584") && strings.Trim(line, "\u2588\u2580\u2584 \u00a0") == "" {
			if len(block) < maxLines {
				block = append(block, line)
			}
			continue
		}
		if code := r.block(block); code != "" {
			return code, nil
		}
		block = block[:0]
	}
	return r.block(block), nil
}

// block draws lines, each character one wide and two high, and reads them.
func (r *Reader) block(lines []string) string {
	if len(lines) < minLines {
		return ""
	}
	width := 0
	for _, l := range lines {
		width = max(width, min(len([]rune(l)), maxCells))
	}
	const scale, margin = 3, 12
	f := field{w: width*scale + 2*margin, h: len(lines)*2*scale + 2*margin}
	if !r.take(f.w, f.h) {
		return ""
	}
	f.pix = make([]byte, f.w*f.h)
	for i := range f.pix {
		f.pix[i] = 255
	}
	fill := func(x, y int) {
		for dy := range scale {
			row := f.pix[(margin+y*scale+dy)*f.w+margin+x*scale:]
			for dx := range scale {
				row[dx] = 0
			}
		}
	}
	for y, l := range lines {
		for x, c := range []rune(l) {
			if x == maxCells {
				break
			}
			if c == '\u2588' || c == '\u2580' {
				fill(x, 2*y)
			}
			if c == '\u2588' || c == '\u2584' {
				fill(x, 2*y+1)
			}
		}
	}
	return r.gray(f)
}
