package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"time"
)

const (
	memcachedServer = "memcached"
	redisServer     = "redis-server"
)

// process is a server on loopback.
type process struct {
	addr string
	cmd  *exec.Cmd
}

// startProcess runs a program that listens on a port of our choice, and waits
// until it accepts connections.
func startProcess(program string, args func(port string) []string) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	p := &process{addr: "127.0.0.1:" + port}
	p.cmd = exec.CommandContext(context.Background(), program, args(port)...) //nolint:gosec // of our own
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", p.addr) //nolint:noctx // on loopback
		if err == nil {
			return p, conn.Close()
		}
		if time.Now().After(end) {
			p.stop()
			return nil, fmt.Errorf("%s does not come up: %w", program, err)
		}
	}
}

func (p *process) stop() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // on loopback
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err == nil {
		err = l.Close()
	}
	return port, err
}

// startServer runs one of the servers that variants need, with nothing on
// disk.
func startServer(program string) (*process, error) {
	return startProcess(program, func(port string) []string {
		if program == redisServer {
			return []string{"--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--loglevel", "warning"}
		}
		args := []string{"-l", "127.0.0.1", "-p", port, "-U", "0", "-t", "2", "-m", "1024", "-c", "4096"}
		if os.Getuid() == 0 {
			args = append(args, "-u", "root")
		}
		return args
	})
}

// servers are those that run, by program.
type servers map[string]*process

// startServers runs what the variants need and the machine has. It tells what
// is missing.
func startServers() (s servers, missing []string, err error) {
	s = servers{}
	for _, program := range []string{memcachedServer, redisServer} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, program)
			continue
		}
		if s[program], err = startServer(program); err != nil {
			s.stop()
			return nil, nil, err
		}
	}
	return s, missing, nil
}

func (s servers) stop() {
	for _, p := range s {
		if p != nil {
			p.stop()
		}
	}
}

// addr is where the variant finds its server.
func (s servers) addr(v *variant) (addr string, ok bool) {
	if v.server == "" {
		return "", true
	}
	if p := s[v.server]; p != nil {
		return p.addr, true
	}
	return "", false
}

// available are the variants whose server runs.
func (s servers) available() (found []*variant) {
	for _, v := range variants {
		if _, ok := s.addr(v); ok {
			found = append(found, v)
		}
	}
	return found
}

// open starts a variant's app.
func (s servers) open(v *variant) (app, error) {
	addr, ok := s.addr(v)
	if !ok {
		return nil, fmt.Errorf("%s: %s is missing", v.row(), v.server)
	}
	a, err := v.start(addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", v.row(), err)
	}
	return a, nil
}
