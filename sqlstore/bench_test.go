package sqlstore_test

import (
	"strings"
	"testing"

	"github.com/ginsession/ginsession/internal/storesuite"
)

// BenchmarkStore is one connection's work: a read of a session, and a request
// that changes one, which is a load and a save of 500 bytes.
func BenchmarkStore(b *testing.B) {
	for _, d := range []database{postgreSQL, mariaDB, sqlite} {
		db := d.open(b)
		store, _ := d.newStore(b, db)
		storesuite.MustSave(b, store, "id", storesuite.Stored(strings.Repeat("x", 500), nil))
		b.Run(d.name+"/load", func(b *testing.B) {
			for b.Loop() {
				storesuite.MustLoad(b, store, "id")
			}
		})
		b.Run(d.name+"/change", func(b *testing.B) {
			for b.Loop() {
				storesuite.MustSave(b, store, "id", storesuite.Stored(strings.Repeat("x", 500), storesuite.MustLoad(b, store, "id").Version))
			}
		})
	}
}
