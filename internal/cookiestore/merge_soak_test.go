//go:build soak

package cookiestore

import "testing"

func TestSoakMemory_bound(t *testing.T) { fillMemory(t, 16<<20, 1_000_000) }
