//go:build soak

package sqlstore_test

import (
	"testing"
	"time"

	"github.com/ginsession/ginsession/internal/storesuite"
)

var longLoad = storesuite.Load{PerSecond: 400, Users: 80, Between: 5 * time.Second, Lasts: 3 * time.Second}

func TestSoak_sessions(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d database) {
		store, _ := d.newStore(t, d.open(t), patient)
		storesuite.RunSessions(t, store, storesuite.Full)
	})
}

func TestSoak_outages(t *testing.T) {
	eachServer(t, func(t *testing.T, d database) { outages(t, d, longLoad) })
}

func TestSoak_outagesSQLite(t *testing.T) { outagesOfFile(t, longLoad) }
