package attach

import "errors"

var errXZ = errors.New("the structure of the xz file is broken")

// guardXZ walks through the blocks of an xz file, by the sizes that their chunks declare, and refuses a block that asks for a
// window beyond the budget: the library that inflates it would allocate it (the .xz file format, sections 2 and 3; LZMA2's chunks).
func guardXZ(b []byte) error {
	for len(b) > 0 {
		if len(b) < 12 || string(b[:6]) != "\xfd7zXZ\x00" {
			return errXZ
		}
		check := [16]int{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}[b[7]&15]
		rest, err := xzBlocks(b[12:], check)
		if err != nil {
			return err
		}
		b = rest
		for len(b) >= 4 && b[0]|b[1]|b[2]|b[3] == 0 { // padding between streams
			b = b[4:]
		}
	}
	return nil
}

// xzBlocks walks through the blocks of one stream, and its index; the rest are further streams.
func xzBlocks(b []byte, check int) (rest []byte, err error) {
	for {
		if len(b) == 0 {
			return nil, nil // cut off: the library says so
		}
		if b[0] == 0 {
			return xzIndex(b)
		}
		size := 4 * (int(b[0]) + 1)
		if size > len(b) {
			return nil, nil
		}
		if err := xzWindow(b[:size]); err != nil {
			return nil, err
		}
		n, err := lzma2Size(b[size:])
		if err != nil || n > len(b)-size {
			return nil, err
		}
		n = (size+n+3)&^3 + check
		if n > len(b) {
			return nil, nil
		}
		b = b[n:]
	}
}

// xzWindow looks at the filters of a block's header: the last is LZMA2, whose one octet of properties is the window.
func xzWindow(head []byte) error {
	r := &sevenReader{b: head[2 : len(head)-4]}
	if head[1]&0x40 != 0 {
		r.multibyte()
	}
	if head[1]&0x80 != 0 {
		r.multibyte()
	}
	for range int(head[1]&3) + 1 {
		id, size := r.multibyte(), r.multibyte()
		props := r.skip(size)
		if r.bad {
			return errXZ
		}
		if id != 0x21 {
			continue
		}
		if size != 1 || props[0] > 40 {
			return errXZ
		}
		if uint64(2|props[0]&1)<<(props[0]/2+11) > maxWindow {
			return limitError("window")
		}
	}
	return nil
}

// multibyte reads a number in groups of seven bits, the lowest first.
func (r *sevenReader) multibyte() (v uint64) {
	for shift := 0; shift < 63; shift += 7 {
		c := r.octet()
		v |= uint64(c&0x7f) << shift
		if c&0x80 == 0 {
			return v
		}
	}
	r.bad = true
	return 0
}

// lzma2Size is how many octets the chunks take up to the one that ends them; more than there are, if they are cut off.
func lzma2Size(b []byte) (n int, err error) {
	for n < len(b) {
		switch c := b[n]; {
		case c == 0:
			return n + 1, nil
		case c < 3:
			if n+3 > len(b) {
				return len(b) + 1, nil
			}
			n += 3 + int(b[n+1])<<8 + int(b[n+2]) + 1
		case c < 0x80:
			return 0, errXZ
		default:
			if n+5 > len(b) {
				return len(b) + 1, nil
			}
			size := 5 + int(b[n+3])<<8 + int(b[n+4]) + 1
			if c >= 0xc0 {
				size++
			}
			n += size
		}
	}
	return len(b) + 1, nil
}

// xzIndex passes over the index and the footer of a stream.
func xzIndex(b []byte) (rest []byte, err error) {
	r := &sevenReader{b: b[1:]}
	records := r.multibyte()
	if records > uint64(len(b)) {
		return nil, errXZ
	}
	for range records {
		r.multibyte()
		r.multibyte()
	}
	n := len(b) - len(r.b)
	n = (n+3)&^3 + 4 + 12
	if r.bad || n > len(b) {
		return nil, nil
	}
	return b[n:], nil
}
