// SPDX-License-Identifier: GPL-2.0-only

// eventchan N: what a program holds that listens to its cgroups as containerd
// does, by EventChan of its cgroups library, while N of them are made and
// removed. Prints the cgroups removed so far, the goroutines and the open files,
// a line for each quarter of the way.
package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/cgroups/v3/cgroup2"
)

const mount = "/sys/fs/cgroup"

// watched tells whether this process has an inotify watch on the file.
func watched(file string) bool {
	var stat syscall.Stat_t
	if err := syscall.Stat(file, &stat); err != nil {
		log.Fatal(err)
	}
	watch := fmt.Sprintf(" ino:%x ", stat.Ino)
	infos, _ := filepath.Glob("/proc/self/fdinfo/*")
	for _, info := range infos {
		if text, _ := os.ReadFile(info); strings.Contains(string(text), watch) {
			return true
		}
	}
	return false
}

// settled waits until done, a few seconds at most.
func settled(done func() bool) bool {
	for end := time.Now().Add(5 * time.Second); !done(); {
		if time.Now().After(end) {
			return false
		}
		time.Sleep(10 * time.Millisecond)
	}
	return true
}

// listen reads a cgroup's events until the library says that there are no more.
func listen(group string) {
	manager, err := cgroup2.Load(group)
	if err != nil {
		log.Fatal(err)
	}
	events, errors := manager.EventChan()
	for {
		select {
		case <-events:
		case <-errors:
			return
		}
	}
}

func main() {
	n, err := strconv.Atoi(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	for i := 0; i <= n; i++ {
		if i%(n/4) == 0 {
			// Those that can end do.
			settled(func() bool { return runtime.NumGoroutine() == 1 })
			files, _ := os.ReadDir("/proc/self/fd")
			fmt.Println(i, runtime.NumGoroutine(), len(files)-1)
		}
		if i == n {
			break
		}
		group := fmt.Sprintf("/eventchan-%d", i)
		if err := os.Mkdir(mount+group, 0o755); err != nil {
			log.Fatal(err)
		}
		go listen(group)
		// The last one that the library places.
		file := mount + group + "/cgroup.events"
		if !settled(func() bool { return watched(file) }) {
			log.Fatal("EventChan has not placed its watches")
		}
		if err := os.Remove(mount + group); err != nil {
			log.Fatal(err)
		}
	}
}
