package redistest

import (
	"crypto/tls"
	"testing"

	"github.com/ginsession/ginsession/internal/servertest"
)

// StartTLS runs a server that speaks TLS only, and returns what a client needs to
// trust it.
func StartTLS(tb testing.TB) (*Server, *tls.Config) {
	tb.Helper()
	s := newServer(tb, "--tls-cert-file", "cert", "--tls-key-file", "key", "--tls-auth-clients", "no", "--tls-port")
	s.args, s.plain = append(s.args, s.Port()), "0"
	s.tls = servertest.Certificate(tb, s.Dir)
	s.Restart()
	return s, s.tls
}
