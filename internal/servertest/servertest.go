// Package servertest is what the tests of all servers share.
package servertest
