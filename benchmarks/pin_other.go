//go:build !linux

package main

// pinned just runs fn: only Linux lets us choose the core.
func pinned(_ servers, fn func() error) error { return fn() }

const isPinned = false
