// Writes the dumps of known goroutines: "debug0", "debug1" and "debug2" in the folder that is named; with --panic it panics.
package main

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"
)

type server struct{ mutex sync.Mutex }

func (s *server) wait() { s.mutex.Lock() }

// deep blocks below depth frames of itself.
func deep(depth int, forever chan int) {
	if depth > 0 {
		deep(depth-1, forever)
	}
	<-forever
}

func main() {
	forever := make(chan int)
	for range 3 {
		go func() { <-forever }()
	}
	go func() { select {} }()
	go func() {
		select {
		case <-forever:
		case <-time.After(time.Hour):
		}
	}()
	go time.Sleep(time.Hour)
	go func() {
		runtime.LockOSThread()
		<-forever
	}()
	go deep(150, forever)
	locked := &server{}
	locked.mutex.Lock()
	labels := pprof.Labels("route", "/order now")
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), labels))
	go locked.wait()
	pprof.SetGoroutineLabels(context.Background())
	time.Sleep(100 * time.Millisecond)

	if os.Args[1] == "--panic" {
		panic("as asked")
	}
	for debug, name := range map[int]string{0: "debug0", 1: "debug1", 2: "debug2"} {
		file, err := os.Create(filepath.Join(os.Args[1], name))
		if err == nil {
			err = pprof.Lookup("goroutine").WriteTo(file, debug)
		}
		if err != nil {
			panic(err)
		}
	}
}
