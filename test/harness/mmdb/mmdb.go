// Package mmdb writes small files of the MaxMind format (version 2.0 of its specification) for tests.
package mmdb

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"
)

// A Record is what a file says of a network: strings, uint32, maps of them.
type Record map[string]any

// Write puts a file with these networks at path.
func Write(t testing.TB, path string, made time.Time, networks map[string]Record) {
	t.Helper()
	b, err := Build(made, networks)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A node has two branches: a node, or a record if leaf is set.
type node struct{ branch [2]branch }

type branch struct {
	node   int // 0: none, for no branch leads to the root
	record int // offset + 1 in the data section; 0: none
}

// Build is the content of a file.
func Build(made time.Time, networks map[string]Record) ([]byte, error) {
	nodes := []node{{}}
	var data []byte
	names := make([]string, 0, len(networks))
	for name := range networks {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		p, err := netip.ParsePrefix(name)
		if err != nil {
			return nil, err
		}
		at := len(data) + 1
		if data, err = encode(data, map[string]any(networks[name])); err != nil {
			return nil, err
		}
		nodes = insert(nodes, p, at)
	}
	var out []byte
	for _, n := range nodes {
		for _, b := range n.branch {
			v := len(nodes)
			switch {
			case b.node != 0:
				v = b.node
			case b.record != 0:
				v = len(nodes) + 16 + b.record - 1
			}
			out = append(out, byte(v>>16), byte(v>>8), byte(v))
		}
	}
	out = append(out, make([]byte, 16)...)
	out = append(out, data...)
	out = append(out, "\xab\xcd\xefMaxMind.com"...)
	return encode(out, map[string]any{
		"binary_format_major_version": uint16(2), "binary_format_minor_version": uint16(0), "build_epoch": uint64(made.Unix()), "database_type": "Test",
		"description": map[string]any{"en": "made by a test"}, "ip_version": uint16(6), "languages": []any{"en"}, "node_count": uint32(len(nodes)), "record_size": uint16(24),
	})
}

// insert makes the way to a network; IPv4 addresses are those of ::/96.
func insert(nodes []node, p netip.Prefix, record int) []node {
	bits, bytes := p.Bits(), p.Addr().As16()
	if p.Addr().Is4() {
		four := p.Addr().As4()
		bytes = [16]byte{12: four[0], four[1], four[2], four[3]}
		bits += 96
	}
	at := 0
	for i := range bits {
		b := &nodes[at].branch[bytes[i/8]>>(7-i%8)&1]
		if i == bits-1 {
			b.record = record
			break
		}
		if b.node == 0 {
			b.node = len(nodes)
			nodes = append(nodes, node{})
			at = len(nodes) - 1
			continue
		}
		at = b.node
	}
	return nodes
}

// control writes the type and size of a value.
func control(b []byte, kind, size int) []byte {
	extra := size
	if size >= 29 {
		extra = 29
	}
	if kind > 7 {
		b = append(b, byte(extra), byte(kind-7))
	} else {
		b = append(b, byte(kind<<5|extra))
	}
	if size >= 29 {
		b = append(b, byte(size-29))
	}
	return b
}

// encode appends a value; texts and maps have fewer than 285 bytes or entries.
func encode(b []byte, v any) ([]byte, error) {
	var err error
	switch v := v.(type) {
	case string:
		return append(control(b, 2, len(v)), v...), nil
	case uint16:
		return binary.BigEndian.AppendUint16(control(b, 5, 2), v), nil
	case uint32:
		return binary.BigEndian.AppendUint32(control(b, 6, 4), v), nil
	case uint64:
		return binary.BigEndian.AppendUint64(control(b, 9, 8), v), nil
	case []any:
		b = control(b, 11, len(v))
		for _, x := range v {
			if b, err = encode(b, x); err != nil {
				return nil, err
			}
		}
		return b, nil
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		b = control(b, 7, len(v))
		for _, k := range keys {
			if b, err = encode(append(control(b, 2, len(k)), k...), v[k]); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
	return nil, fmt.Errorf("cannot write a %T", v)
}
