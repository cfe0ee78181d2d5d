//go:build soak

package cookiestore_test

import "testing"

func TestSoakSealed_Load_forged(t *testing.T) { forge(t, 10_500_000) }
