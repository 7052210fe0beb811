package journal

// A pile is octets in the order in which they came. It is held in blocks, so that it grows without a copy of what it holds
// already. The zero value is empty.
type pile struct {
	blocks [][]byte
	free   [][]byte // empty blocks to use again
	size   int      // octets in all
}

// blockSize is how much memory a pile takes at once.
const blockSize = 256 << 10

// add puts b on the pile.
func (p *pile) add(b []byte) {
	p.size += len(b)
	for len(b) > 0 {
		last := len(p.blocks) - 1
		if last < 0 || len(p.blocks[last]) == blockSize {
			p.blocks = append(p.blocks, p.block())
			last++
		}
		n := min(len(b), blockSize-len(p.blocks[last]))
		p.blocks[last] = append(p.blocks[last], b[:n]...)
		b = b[n:]
	}
}

// block is an empty block.
func (p *pile) block() []byte {
	n := len(p.free)
	if n == 0 {
		return make([]byte, 0, blockSize)
	}
	b := p.free[n-1]
	p.free = p.free[:n-1]
	return b
}

// clear empties the pile. It keeps the blocks that it had in use, for as many may be needed again, and no others.
func (p *pile) clear() {
	for i, b := range p.blocks {
		p.blocks[i] = b[:0]
	}
	clear(p.free)
	p.blocks, p.free, p.size = p.free[:0], p.blocks, 0
}
