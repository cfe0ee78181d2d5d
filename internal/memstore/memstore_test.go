package memstore_test

import (
	"testing"

	"github.com/ginsession/ginsession/internal/memstore"
	"github.com/ginsession/ginsession/internal/storesuite"
	"github.com/ginsession/ginsession/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, memstore.New())
	storesuite.RunSessions(t, memstore.New(), storesuite.Sizes{Increments: 200, Sets: 100, Flashes: 50, Races: 100})
}
