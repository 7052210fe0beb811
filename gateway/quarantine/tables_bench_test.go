package quarantine

import (
	"bytes"
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"

	"gatepost/gateway/db"
	"gatepost/gateway/spool"
	"gatepost/test/harness/postgres"
)

// BenchmarkPutEither puts messages of 50 KB, eight at once, into files with SQLite and into PostgreSQL on the same disk.
func BenchmarkPutEither(b *testing.B) {
	for _, store := range []string{"sqlite", "postgres"} {
		b.Run(store, func(b *testing.B) {
			dir := b.TempDir()
			url := "sqlite:" + filepath.Join(dir, "gatepost.db")
			if store == "postgres" {
				url = postgres.Fresh(b)
			}
			d, err := db.Open(url)
			if err != nil {
				b.Fatal(err)
			}
			defer d.Close()
			sp, err := spool.New(spool.Config{Dir: filepath.Join(dir, "spool")})
			if err != nil {
				b.Fatal(err)
			}
			q, err := New(b.Context(), Config{}, Deps{Dir: filepath.Join(dir, "quarantine"), DB: d, Spool: sp})
			if err != nil {
				b.Fatal(err)
			}
			var n atomic.Int64
			b.SetBytes(50 << 10)
			b.SetParallelism(4)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					i := int(n.Add(1))
					content := append(message(i), bytes.Repeat([]byte("one more line of a message\r\n"), 1800)...)
					if err := q.Put(context.Background(), entry(i), bytes.NewReader(content)); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
