// SPDX-License-Identifier: GPL-2.0-only

// fsnotify: watch each file that a line of standard input names.
package main

import (
	"bufio"
	"log"
	"os"

	"github.com/fsnotify/fsnotify"
)

func main() {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for event := range watcher.Events {
			log.Print(event)
		}
	}()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if err := watcher.Add(lines.Text()); err != nil {
			log.Fatal(err)
		}
	}
}
