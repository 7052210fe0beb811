package main

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"unicode/utf16"
)

// demoMacro greets whoever opens the document, and does nothing else.
const demoMacro = "Attribute VB_Name = \"Module1\"\r\nSub AutoOpen()\r\n  MsgBox \"A macro ran.\"\r\nEnd Sub\r\n"

// macroDocument is a Word file with a macro that runs by itself.
func macroDocument() ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range []struct {
		name string
		data []byte
	}{
		{"[Content_Types].xml", []byte(`<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>`)},
		{"word/document.xml", []byte(`<?xml version="1.0"?><document/>`)},
		{"word/vbaProject.bin", macroProject(demoMacro)},
	} {
		w, err := z.Create(f.name)
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// The parts of a compound file of sectors of 512 octets ([MS-CFB] 2.1 to 2.6).
const (
	sector     = 512
	streamSize = 4096 // below it a stream would stand in the mini stream
	endOfChain = 0xFFFFFFFE
	freeSector = 0xFFFFFFFF
	fatSector  = 0xFFFFFFFD
)

// macroProject is a compound file whose storage VBA holds one module: a header, a sector of the allocation table, one of
// the directory, and the module.
func macroProject(source string) []byte {
	le := binary.LittleEndian
	file := make([]byte, 3*sector+streamSize)
	head := file[:sector]
	copy(head, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
	for at, v := range map[int]uint16{24: 0x3E, 26: 3, 28: 0xFFFE, 30: 9, 32: 6} {
		le.PutUint16(head[at:], v)
	}
	for at, v := range map[int]uint32{44: 1, 48: 1, 56: streamSize, 60: endOfChain, 68: endOfChain} {
		le.PutUint32(head[at:], v)
	}
	for i := range 109 {
		le.PutUint32(head[76+4*i:], freeSector)
	}
	le.PutUint32(head[76:], 0) // the allocation table is sector 0

	fat := file[sector : 2*sector]
	for i := range sector / 4 {
		le.PutUint32(fat[4*i:], freeSector)
	}
	le.PutUint32(fat[0:], fatSector)
	le.PutUint32(fat[4:], endOfChain) // the directory
	for i := 2; i < 2+streamSize/sector; i++ {
		le.PutUint32(fat[4*i:], uint32(i+1))
	}
	le.PutUint32(fat[4*(1+streamSize/sector):], endOfChain)

	dir := file[2*sector : 3*sector]
	for i, e := range []struct {
		name               string
		kind               byte
		child, start, size uint32
	}{
		{"Root Entry", 5, 1, endOfChain, 0},
		{"VBA", 1, 2, 0, 0},
		{"Module1", 2, freeSector, 2, streamSize},
		{"", 0, freeSector, 0, 0},
	} {
		d := dir[128*i : 128*(i+1)]
		name := utf16.Encode([]rune(e.name + "\x00"))
		for j, u := range name {
			le.PutUint16(d[2*j:], u)
		}
		if e.name != "" {
			le.PutUint16(d[64:], uint16(2*len(name)))
		}
		d[66], d[67] = e.kind, 1
		for at, v := range map[int]uint32{68: freeSector, 72: freeSector, 76: e.child, 116: e.start, 120: e.size} {
			le.PutUint32(d[at:], v)
		}
	}
	copy(file[3*sector:], literalContainer(source))
	return file
}

// literalContainer is source in a CompressedContainer of one chunk, all of it literal tokens ([MS-OVBA] 2.4.1).
func literalContainer(source string) []byte {
	var tokens []byte
	for i := 0; i < len(source); i += 8 {
		tokens = append(tokens, 0)
		tokens = append(tokens, source[i:min(i+8, len(source))]...)
	}
	out := []byte{1}
	out = binary.LittleEndian.AppendUint16(out, uint16(len(tokens)+2-3)|0xB000)
	return append(out, tokens...)
}
