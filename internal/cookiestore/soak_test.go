//go:build soak

package cookiestore_test

import "testing"

func TestSoakSealed_Load_forged(t *testing.T) { forge(t, 10_500_000) }

func TestSoakSealed_Change_parallel(t *testing.T) { changeInParallel(t, sizes{10_000, 5_000, 1_000}) }

func TestSoakSealed_Renew_parallel(t *testing.T) { endInParallel(t, 10_000) }
