//go:build !linux

package main

import "time"

// Elsewhere than on Linux the wall's time is measured, on cores of the
// system's choice.
const hasProcessorTime = false

func processTime() (elapsed func() time.Duration) { return wallTime() }

func (s servers) time() (elapsed func() time.Duration) { return wallTime() }

func pin(servers) (unpin func(), err error) { return func() {}, nil }
