package state

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"gatepost/gateway/disk"
)

// FuzzBook reads whatever stands in a file: what is whole is taken, nothing else is, and it is written back as it was.
func FuzzBook(f *testing.F) {
	whole := func(object string) []byte {
		line, err := disk.AppendLine(nil, []byte(object))
		if err != nil {
			f.Fatal(err)
		}
		return line
	}
	f.Add(whole(`{"k":"a","u":1000000100000}`))
	f.Add(whole(`{"k":"b","v":{"id":"0123456789abcdef","who":"x","first":"2001-09-09T01:46:40Z","passed":true,"until":"2001-09-10T01:46:40Z"}}`))
	f.Add(whole(`{"k":"c","u":9223372036854775807}`))
	f.Add([]byte("{\"sum\":\"00000000"))
	f.Add([]byte(strings.Repeat("x", 3*maxBookLine) + "\n\n\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		lines, damaged, err := readLines(bytes.NewReader(data))
		if err != nil || len(lines)+damaged > bytes.Count(data, []byte("\n"))+1 {
			t.Fatalf("%d lines and %d damaged ones of %d bytes: %v", len(lines), damaged, len(data), err)
		}
		b := &book{}
		var written []byte
		for _, e := range lines {
			written = b.append(written, e)
		}
		again, damaged, err := readLines(bytes.NewReader(written))
		if err != nil || damaged != 0 || !reflect.DeepEqual(again, lines) {
			t.Fatalf("read %+v, wrote and read again %+v, %d damaged: %v", lines, again, damaged, err)
		}
	})
}
