package qr

import (
	"image"
	"image/color"
)

// shrink makes a picture gray, and smaller if it is larger than codes need. It reads the usual kinds of pictures without a call for each
// pixel, and white where they are transparent.
func shrink(img image.Image) field {
	b := img.Bounds()
	step := max(1, (max(b.Dx(), b.Dy())+maxSide-1)/maxSide)
	f := field{w: b.Dx() / step, h: b.Dy() / step}
	f.pix = make([]byte, f.w*f.h)
	at := shade(img)
	for y := range f.h {
		row := f.pix[y*f.w : (y+1)*f.w]
		for x := range row {
			if step == 1 {
				row[x] = at(b.Min.X+x, b.Min.Y+y)
				continue
			}
			// The mean of a square keeps what a point would miss.
			sum := 0
			for dy := range step {
				for dx := range step {
					sum += int(at(b.Min.X+x*step+dx, b.Min.Y+y*step+dy))
				}
			}
			row[x] = byte(sum / (step * step))
		}
	}
	return f
}

// shade is how light a pixel is.
func shade(img image.Image) func(x, y int) byte {
	switch m := img.(type) {
	case *image.Gray:
		return func(x, y int) byte { return m.Pix[m.PixOffset(x, y)] }
	case *image.YCbCr:
		return func(x, y int) byte { return m.Y[m.YOffset(x, y)] }
	case *image.Paletted:
		var table [256]byte
		for i, c := range m.Palette {
			if i < len(table) {
				table[i] = light(c)
			}
		}
		return func(x, y int) byte { return table[m.Pix[m.PixOffset(x, y)]] }
	case *image.NRGBA:
		return func(x, y int) byte {
			p := m.Pix[m.PixOffset(x, y):]
			return over((int(p[0])+2*int(p[1])+int(p[2]))/4, int(p[3]))
		}
	case *image.RGBA:
		return func(x, y int) byte {
			p := m.Pix[m.PixOffset(x, y):]
			return byte(min(255, (int(p[0])+2*int(p[1])+int(p[2]))/4+255-int(p[3])))
		}
	}
	return func(x, y int) byte { return light(img.At(x, y)) }
}

// light is how light a colour is on white paper.
func light(c color.Color) byte {
	n, ok := color.NRGBAModel.Convert(c).(color.NRGBA)
	if !ok {
		return 255
	}
	return over((int(n.R)+2*int(n.G)+int(n.B))/4, int(n.A))
}

// over lays a shade over white.
func over(shade, alpha int) byte { return byte((shade*alpha + 255*(255-alpha)) / 255) }

// hasFinder reports whether the field has what every code has in its corners: dark and light as 1:1:3:1:1, across and down. Most
// pictures have not, and are done with at the cost of one look.
func (f field) hasFinder() bool {
	if f.w < minSide || f.h < minSide {
		return false
	}
	step := 1
	if f.h > 300 {
		step = 2
	}
	found := 0
	for y := 0; y < f.h; y += step {
		row := f.pix[y*f.w : (y+1)*f.w]
		low, high := byte(255), byte(0)
		for _, p := range row {
			low, high = min(low, p), max(high, p)
		}
		if high-low < 40 {
			continue
		}
		if found += f.scan(y, byte((int(low)+int(high))/2)); found >= minFound {
			return true
		}
	}
	return false
}

// minFound is in how many rows a corner must be seen: in its middle part, several have it.
const minFound = 3

// scan counts the corners that one row goes through.
func (f field) scan(y int, middle byte) int {
	row := f.pix[y*f.w : (y+1)*f.w]
	var runs [5]int
	start, found := 0, 0
	dark := row[0] < middle
	for x := 1; x <= len(row); x++ {
		if x < len(row) && (row[x] < middle) == dark {
			continue
		}
		copy(runs[:], runs[1:])
		runs[4] = x - start
		start, dark = x, !dark
		if finder(runs) && f.down(x-runs[4]-runs[3]-runs[2]/2-1, y, middle) {
			found++
		}
	}
	return found
}

// down reports whether the runs through a point are those of a corner down the column, too.
func (f field) down(x, y int, middle byte) bool {
	is := func(y int) bool { return f.pix[y*f.w+x] < middle }
	var runs [5]int
	dark := is(y)
	at := y
	for i := 2; i >= 0; i-- {
		for at >= 0 && is(at) == (dark == (i%2 == 0)) {
			runs[i]++
			at--
		}
	}
	at = y + 1
	for i := 2; i < 5; i++ {
		for at < f.h && is(at) == (dark == (i%2 == 0)) {
			runs[i]++
			at++
		}
	}
	return finder(runs)
}

// finder reports whether five runs are as 1:1:3:1:1, within half a module, the middle within one.
func finder(r [5]int) bool {
	sum := r[0] + r[1] + r[2] + r[3] + r[4]
	if sum < 11 || r[0] == 0 || r[1] == 0 || r[3] == 0 || r[4] == 0 {
		return false
	}
	// In fourteenths of the whole: a module is two.
	near := func(run, modules int) bool {
		d, slack := run*14-2*modules*sum, sum*min(modules, 2)+7
		return d <= slack && -d <= slack
	}
	return near(r[0], 1) && near(r[1], 1) && near(r[2], 3) && near(r[3], 1) && near(r[4], 1)
}
