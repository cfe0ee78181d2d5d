package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const hasProcessorTime = true

// processTime counts the processor time of this process.
func processTime() (elapsed func() time.Duration) {
	begin := processClock()
	return func() time.Duration { return processClock() - begin }
}

// time counts that of the servers too, but not what it takes to ask for theirs.
func (s servers) time() (elapsed func() time.Duration) {
	theirs := s.clock()
	ours := processTime()
	return func() time.Duration {
		took := ours()
		return took + s.clock() - theirs
	}
}

func processClock() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		panic(err) // Linux has it
	}
	return time.Duration(t.Nano())
}

// clock is the processor time of the servers so far.
func (s servers) clock() (total time.Duration) {
	for _, p := range s {
		for _, thread := range threads(strconv.Itoa(p.cmd.Process.Pid)) {
			text, _ := os.ReadFile("/proc/" + strconv.Itoa(thread) + "/schedstat") // "ran waited times", in nanoseconds
			var ran int64
			_, _ = fmt.Sscan(string(text), &ran) // a thread that has ended did nothing
			total += time.Duration(ran)
		}
	}
	return total
}

// pin binds this process and the servers to one core.
func pin(running servers) (unpin func(), err error) {
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(os.Getpid(), &before); err != nil { // of the main thread
		return nil, err
	}
	one.Set(lastOf(&before))
	pinAll(running, &one)
	return func() { pinAll(running, &before) }, nil
}

func lastOf(set *unix.CPUSet) (cpu int) {
	for i := range len(set) * strconv.IntSize {
		if set.IsSet(i) {
			cpu = i
		}
	}
	return cpu
}

func allThreads(running servers) (ids []int) {
	ids = threads("self")
	for _, p := range running {
		ids = append(ids, threads(strconv.Itoa(p.cmd.Process.Pid))...)
	}
	return ids
}

// pinAll binds all threads, those too that begin while it does so; those to
// come take after the one that they come from.
func pinAll(running servers, set *unix.CPUSet) {
	var before []int
	for {
		all := allThreads(running)
		for _, thread := range all {
			_ = unix.SchedSetaffinity(thread, set) // one that has ended is none to bind
		}
		if slices.Equal(all, before) {
			return
		}
		before = all
	}
}

func threads(pid string) (ids []int) {
	entries, _ := os.ReadDir("/proc/" + pid + "/task")
	for _, entry := range entries {
		if id, err := strconv.Atoi(entry.Name()); err == nil {
			ids = append(ids, id)
		}
	}
	return ids
}
