// Package processtest makes the server processes of tests stop and go on.
package processtest
