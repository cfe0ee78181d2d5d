//go:build soak

package ginsession_test

import "testing"

func TestSoakAttack(t *testing.T) { attack(t, 10_500_000) }
