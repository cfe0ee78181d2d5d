// Package servertest is what the tests of all servers share: to pause their
// processes, to speak TLS, and to stand before one and misbehave.
package servertest
