package qr

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"
	"math"
	"strconv"
)

// maxURIs bounds the addresses that are read out of one document.
const maxURIs = 200

// Document reads a PDF document: the texts of the QR codes in its pictures and drawings, and the addresses that it lets a reader click.
// Only a crash is an error; what was read before it is returned.
func (r *Reader) Document(pdf []byte) (codes, uris []string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrCrash, p)
		}
	}()
	if !bytes.HasPrefix(bytes.TrimLeft(pdf[:min(len(pdf), 1024)], "\x00\t\r\n "), []byte("%PDF-")) {
		return nil, nil, nil
	}
	uris = findURIs(uris, pdf)
	rest := pdf
	for {
		dict, body, after, ok := nextStream(rest)
		if !ok {
			break
		}
		if r.streams >= maxStreams || r.inflated >= maxInflated || r.spent() {
			r.Missed = true
			break
		}
		rest = after
		r.streams++
		if has(dict, "/Subtype/Image", "/Subtype /Image") {
			if text, perr := r.xobject(dict, body); perr != nil {
				return codes, uris, perr
			} else if text != "" {
				codes = append(codes, text)
			}
			continue
		}
		if has(dict, "/FontFile", "/Length1", "/XRef", "/Metadata") {
			continue
		}
		plain := body
		if has(dict, "/FlateDecode", "/Fl ") {
			plain = r.inflate(body)
		}
		uris = findURIs(uris, plain)
		if f, ok := drawn(plain); ok && r.take(f.w, f.h) {
			if text := r.gray(f); text != "" {
				codes = append(codes, text)
			}
		}
	}
	return codes, uris, nil
}

// has reports whether a dictionary has one of the words.
func has(dict []byte, words ...string) bool {
	for _, w := range words {
		if bytes.Contains(dict, []byte(w)) {
			return true
		}
	}
	return false
}

// maxDict is how far before its stream a dictionary may begin.
const maxDict = 4 << 10

// nextStream finds the next stream with what stands before it, and what follows.
func nextStream(b []byte) (dict, body, after []byte, ok bool) {
	at := bytes.Index(b, []byte("stream"))
	if at < 0 {
		return nil, nil, nil, false
	}
	start := at + len("stream")
	if start < len(b) && b[start] == '\r' {
		start++
	}
	if start < len(b) && b[start] == '\n' {
		start++
	}
	end := bytes.Index(b[start:], []byte("endstream"))
	if end < 0 {
		return nil, nil, nil, false
	}
	dict = b[max(0, at-maxDict):at]
	if n := bytes.LastIndex(dict, []byte(" obj")); n >= 0 {
		dict = dict[n:]
	}
	return dict, b[start : start+end], b[start+end+len("endstream"):], true
}

// inflate decompresses a stream as far as the budget goes.
func (r *Reader) inflate(body []byte) []byte {
	z, err := zlib.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil
	}
	defer z.Close()
	plain, _ := io.ReadAll(io.LimitReader(z, maxInflated-r.inflated)) // a broken end does not take back the beginning
	r.inflated += int64(len(plain))
	return plain
}

// number is the integer behind a name of a dictionary.
func number(dict []byte, name string) int {
	n := bytes.Index(dict, []byte(name))
	if n < 0 {
		return 0
	}
	s := bytes.TrimLeft(dict[n+len(name):], " \r\n")
	end := 0
	for end < len(s) && end < 9 && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	v, err := strconv.Atoi(string(s[:end]))
	if err != nil {
		return 0
	}
	return v
}

// xobject reads a picture of a document: JPEG as it is, or rows of samples.
func (r *Reader) xobject(dict, body []byte) (string, error) {
	if has(dict, "/DCTDecode") && !has(dict, "/FlateDecode") {
		return r.Picture(body)
	}
	w, h, bits := number(dict, "/Width"), number(dict, "/Height"), number(dict, "/BitsPerComponent")
	if has(dict, "/ImageMask true") {
		bits = 1
	}
	if w > 1<<14 || h > 1<<14 {
		r.Missed = true
		return "", nil
	}
	if !r.take(w, h) {
		return "", nil
	}
	samples := body
	if has(dict, "/FlateDecode") {
		samples = r.inflate(body)
	} else if has(dict, "/Filter") {
		return "", nil
	}
	colours := 1
	if has(dict, "/DeviceRGB", "/CalRGB", "/N 3") {
		colours = 3
	}
	row := (w*colours*bits + 7) / 8
	if number(dict, "/Predictor") >= 10 {
		samples = unfilter(samples, row, max(1, colours*bits/8))
	}
	f := field{w: w, h: h}
	switch {
	case bits == 8 && len(samples) >= row*h:
		if colours == 1 && len(samples) >= row*h*3 && has(dict, "/ICCBased") {
			colours = 3 // the profile says so, in another object
		}
		f.pix = make([]byte, w*h)
		for i := range f.pix {
			f.pix[i] = samples[i*colours+colours/2]
		}
	case bits == 1 && len(samples) >= row*h:
		f.pix = make([]byte, w*h)
		for i := range f.pix {
			x, y := i%w, i/w
			f.pix[i] = (samples[y*row+x/8] >> (7 - x%8) & 1) * 255
		}
	default:
		return "", nil
	}
	return r.gray(halve(f)), nil
}

// halve makes a field smaller until codes are looked for in no more than they need.
func halve(f field) field {
	for max(f.w, f.h) > maxSide {
		n := field{w: f.w / 2, h: f.h / 2}
		n.pix = make([]byte, n.w*n.h)
		for y := range n.h {
			for x := range n.w {
				a := 2*y*f.w + 2*x
				n.pix[y*n.w+x] = byte((int(f.pix[a]) + int(f.pix[a+1]) + int(f.pix[a+f.w]) + int(f.pix[a+f.w+1])) / 4)
			}
		}
		f = n
	}
	return f
}

// unfilter undoes the predictors of PNG (RFC 2083 section 6) over rows of samples.
func unfilter(b []byte, row, pixel int) []byte {
	if row <= 0 {
		return nil
	}
	out := make([]byte, 0, len(b))
	above := make([]byte, row)
	for len(b) > row {
		kind, line := b[0], append([]byte(nil), b[1:1+row]...)
		b = b[1+row:]
		for i := range line {
			var left, corner byte
			if i >= pixel {
				left, corner = line[i-pixel], above[i-pixel]
			}
			switch kind {
			case 1:
				line[i] += left
			case 2:
				line[i] += above[i]
			case 3:
				line[i] += byte((int(left) + int(above[i])) / 2)
			case 4:
				line[i] += paeth(left, above[i], corner)
			}
		}
		out = append(out, line...)
		above = line
	}
	return out
}

func paeth(a, b, c byte) byte {
	p := int(a) + int(b) - int(c)
	pa, pb, pc := abs(p-int(a)), abs(p-int(b)), abs(p-int(c))
	switch {
	case pa <= pb && pa <= pc:
		return a
	case pb <= pc:
		return b
	}
	return c
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}

// findURIs appends the addresses of links, as in /URI (https://…).
func findURIs(list []string, b []byte) []string {
	for len(list) < maxURIs {
		n := bytes.Index(b, []byte("/URI"))
		if n < 0 {
			return list
		}
		b = b[n+len("/URI"):]
		s := bytes.TrimLeft(b[:min(len(b), 16)], " \r\n")
		if len(s) == 0 || s[0] != '(' {
			continue
		}
		from := bytes.IndexByte(b, '(') + 1
		var uri []byte
		for i := from; i < len(b) && len(uri) < 2<<10 && b[i] != ')'; i++ {
			if b[i] == '\\' && i+1 < len(b) {
				i++
			}
			uri = append(uri, b[i])
		}
		list = append(list, string(uri))
	}
	return list
}

// A rect is a rectangle that a document fills.
type rect struct{ x, y, w, h float64 }

// The number of rectangles that make a drawing worth a look, and the most that are drawn.
const (
	minRects = 60
	maxRects = 40_000
)

// drawn draws the rectangles that a page fills, if they are as many as a code has.
func drawn(page []byte) (field, bool) {
	if bytes.Count(page[:min(len(page), 1<<20)], []byte(" re")) < minRects {
		return field{}, false
	}
	var list []rect
	var stack [4]float64
	for len(page) > 0 && len(list) < maxRects {
		n := bytes.IndexAny(page, " \r\n\t")
		word := page
		if n >= 0 {
			word, page = page[:n], page[n+1:]
		} else {
			page = nil
		}
		if len(word) == 0 {
			continue
		}
		if v, err := strconv.ParseFloat(string(word[:min(len(word), 32)]), 64); err == nil {
			copy(stack[:], stack[1:])
			stack[3] = v
			continue
		}
		if string(word) == "re" && stack[2] != 0 && stack[3] != 0 {
			r := rect{stack[0], stack[1], stack[2], stack[3]}
			if r.w < 0 {
				r.x, r.w = r.x+r.w, -r.w
			}
			if r.h < 0 {
				r.y, r.h = r.y+r.h, -r.h
			}
			list = append(list, r)
		}
	}
	return raster(list)
}

// raster draws small dark rectangles on light paper. Large ones are the paper.
func raster(list []rect) (field, bool) {
	small := math.Inf(1)
	for _, r := range list {
		small = min(small, r.w, r.h)
	}
	left, right, bottom, top := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	kept := list[:0]
	for _, r := range list {
		if r.w > small*60 && r.h > small*20 {
			continue
		}
		kept = append(kept, r)
		left, right, bottom, top = min(left, r.x), max(right, r.x+r.w), min(bottom, r.y), max(top, r.y+r.h)
	}
	side := max(right-left, top-bottom)
	if len(kept) < minRects || !(side > 0) || math.IsInf(side, 0) || side/small > 300 {
		return field{}, false
	}
	const size, margin = 600, 40
	f := field{w: size + 2*margin, h: size + 2*margin}
	f.pix = bytes.Repeat([]byte{255}, f.w*f.h)
	scale := size / side
	for _, r := range kept {
		x0, x1 := margin+int((r.x-left)*scale+0.5), margin+int((r.x+r.w-left)*scale+0.5)
		y0, y1 := margin+int((top-r.y-r.h)*scale+0.5), margin+int((top-r.y)*scale+0.5)
		for y := max(0, y0); y < min(f.h, y1); y++ {
			for x := max(0, x0); x < min(f.w, x1); x++ {
				f.pix[y*f.w+x] = 0
			}
		}
	}
	return f, true
}
