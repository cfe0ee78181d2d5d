package main

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// pinned runs fn with this process and the servers on one core. A core that
// idles while it waits for the other's answer takes its time to wake up, on a
// virtual machine longer than the answer itself; on one core there is always
// something to do, and what is left is the work of both. Go has to know that
// there is one: else its scheduler spins on it while it waits for more work.
func pinned(running servers, fn func() error) error {
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	defer pinAll(running, &before)
	var one unix.CPUSet
	one.Set(lastOf(&before))
	pinAll(running, &one)
	return onOneCore(fn)
}

const isPinned = true

func lastOf(set *unix.CPUSet) (cpu int) {
	for i := range len(set) * strconv.IntSize {
		if set.IsSet(i) {
			cpu = i
		}
	}
	return cpu
}

// pinAll binds all threads that there are; those to come take after them.
func pinAll(running servers, set *unix.CPUSet) {
	pins := []string{"self"}
	for _, p := range running {
		pins = append(pins, strconv.Itoa(p.cmd.Process.Pid))
	}
	for _, pid := range pins {
		threads, _ := os.ReadDir("/proc/" + pid + "/task")
		for _, thread := range threads {
			if id, err := strconv.Atoi(thread.Name()); err == nil {
				_ = unix.SchedSetaffinity(id, set) // a thread that has ended is none to bind
			}
		}
	}
}
