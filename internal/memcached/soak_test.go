//go:build soak

package memcached_test

import (
	"testing"
	"time"

	"github.com/ginsession/ginsession/internal/storesuite"
)

func TestSoakStore_sessions(t *testing.T) { sessions(t, storesuite.Full) }

func TestSoakStore_outages(t *testing.T) {
	outages(t, storesuite.Load{PerSecond: 400, Users: 80, Between: 5 * time.Second, Lasts: 3 * time.Second})
}

func TestSoakStore_serverFor_fleet(t *testing.T) { moves(t, 250_000) }

func TestSoakStore_fleet(t *testing.T) { runFleet(t, 100, 20_000) }
