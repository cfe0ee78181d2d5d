package benchmarks

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// programs are the servers that storages need.
var programs = map[string]string{"Memcached": "memcached", "Redis": "redis-server"}

// servers are those that run during all benchmarks, by storage.
var servers = map[string]*server{}

type server struct {
	addr string
	cmd  *exec.Cmd
}

func TestMain(m *testing.M) {
	for store, program := range programs {
		if _, err := exec.LookPath(program); err == nil {
			servers[store] = startServer(program)
		}
	}
	status := m.Run()
	for _, s := range servers {
		s.stop()
	}
	os.Exit(status)
}

// startServer runs a server on loopback that keeps nothing on disk.
func startServer(program string) *server {
	l := must(net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	_ = l.Close()
	args := []string{"-l", "127.0.0.1", "-p", port, "-U", "0", "-t", "2", "-m", "1024", "-u", "root"} // -u counts for root only
	if program == programs["Redis"] {
		args = []string{"--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--loglevel", "warning"}
	}
	if _, err := exec.LookPath("setpriv"); err == nil { // Linux ends the server if this process crashes
		program, args = "setpriv", append([]string{"--pdeathsig", "KILL", program}, args...)
	}
	s := &server{"127.0.0.1:" + port, exec.Command(program, args...)}
	must(0, s.cmd.Start())
	for {
		if conn, err := net.Dial("tcp", s.addr); err == nil {
			_ = conn.Close()
			return s
		}
		time.Sleep(5 * time.Millisecond) // go test ends what never comes up
	}
}

func (s *server) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// ask sends a command and returns the whole answer.
func (s *server) ask(command string) (text string) {
	conn := must(net.Dial("tcp", s.addr))
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = fmt.Fprintf(conn, "%s\r\nquit\r\n", command)
	for buf := make([]byte, 64<<10); !strings.HasSuffix(text, "END\r\n"); { // a dump of keys does not see the quit
		n, err := conn.Read(buf)
		if text += string(buf[:n]); err != nil {
			break
		}
	}
	return text
}

// sum adds up the numbers that pattern finds in text.
func sum(text, pattern string) (total int) {
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		total += must(strconv.Atoi(match[1]))
	}
	return total
}

// counters are the commands that ask for statistics, and what to add up to count
// round trips. Redis counts the commands within a script too, but not as reads.
var counters = map[string][2]string{
	"Memcached": {"stats", `STAT (?:cmd_(?:get|set|touch|meta)|delete_(?:hits|misses)) (\d+)`},
	"Redis":     {"INFO", `total_reads_processed:(\d+)`},
}

// recordSize is the length of the only record.
func (s *server) recordSize(store string) int {
	if store == "Redis" {
		key := regexp.MustCompile(`\$\d+\r\n(\S+)`).FindStringSubmatch(s.ask("KEYS *"))[1]
		return sum(s.ask("STRLEN "+key), `:(\d+)`)
	}
	var key []string
	for key == nil { // a dump passes over items that are in use
		key = regexp.MustCompile(`key=(\S+)`).FindStringSubmatch(s.ask("lru_crawler metadump all"))
	}
	return sum(s.ask("mg "+must(url.QueryUnescape(key[1]))+" s"), `HD s(\d+)`)
}

// memory is what the server needs for what it holds, in bytes.
func (s *server) memory(store string) (bytes int) {
	if store == "Redis" {
		return sum(s.ask("INFO"), `used_memory:(\d+)`)
	}
	slabs := s.ask("stats slabs")
	for class := range 64 {
		bytes += sum(slabs, fmt.Sprintf(`STAT %d:chunk_size (\d+)`, class)) * sum(slabs, fmt.Sprintf(`STAT %d:used_chunks (\d+)`, class))
	}
	return bytes
}

// start opens the app, on the server that all share or on one of its own. If the
// server is missing, it skips the benchmark.
func (v *variant) start(tb testing.TB, alone bool) (app, *server) {
	tb.Helper()
	program, s := programs[v.store], servers[v.store]
	switch {
	case program == "":
		return v.open(""), nil
	case s == nil:
		tb.Skipf("%s is missing", program)
	case alone:
		s = startServer(program)
		tb.Cleanup(s.stop)
	}
	return v.open(s.addr), s
}
