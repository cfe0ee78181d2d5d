package memstore_test

import (
	"testing"

	"github.com/ginsession/ginsession/internal/memstore"
	"github.com/ginsession/ginsession/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, memstore.New())
	storetest.RunSessions(t, memstore.New(), storetest.Sizes{Increments: 200, Sets: 100, Flashes: 50, Races: 100})
}
