//go:build soak

package flask

import "testing"

func TestSoakSession_ofFlask(t *testing.T) { ofFlask(t, 20000) }

func TestSoakSession_toFlask(t *testing.T) { toFlask(t, 5000) }

func TestSoakOpen_tampered(t *testing.T) { tampered(t, 68) }
