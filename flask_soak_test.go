//go:build soak

package ginsession_test

import "testing"

func TestSoakFlask_sessionsOfFlaskSurviveGo(t *testing.T) { fromFlask(t, 20000) }

func TestSoakFlask_valuesOfGoArriveInPython(t *testing.T) { toFlask(t, 5000) }

func TestSoakFlask_tampered(t *testing.T) { tampered(t, 68) }
