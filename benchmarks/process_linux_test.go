package benchmarks

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// processTime is the processor time of this process and of the servers so far:
// it hardly matters what else the machine does.
func processTime() time.Duration {
	var used syscall.Rusage
	must(0, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	total := time.Duration(used.Utime.Nano() + used.Stime.Nano())
	for _, s := range servers {
		for _, file := range must(filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", s.cmd.Process.Pid))) {
			text, _ := os.ReadFile(file)
			total += time.Duration(sum(string(text), `^(\d+)`))
		}
	}
	return total
}
