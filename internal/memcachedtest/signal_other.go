//go:build !unix

package memcachedtest

// Pause is for unix; [Start] has skipped the test elsewhere.
func (s *Server) Pause() { s.tb.Fatal("there is no SIGSTOP on this system") }

// Resume is for unix.
func (s *Server) Resume() { s.tb.Fatal("there is no SIGCONT on this system") }
