// A lock that is held for a while with five waiters, and Go's block and mutex profiles of it. The argument is the
// folder for both, as profile.proto.
package main

import (
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"
)

const held = 300 * time.Millisecond

//go:noinline
func waits_its_turn(lock *sync.Mutex) {
	lock.Lock()
	lock.Unlock()
}

//go:noinline
func releases(lock *sync.Mutex) { lock.Unlock() }

func main() {
	runtime.SetBlockProfileRate(1)
	runtime.SetMutexProfileFraction(1)
	var lock sync.Mutex
	var done sync.WaitGroup
	lock.Lock()
	for range 5 {
		done.Go(func() { waits_its_turn(&lock) })
	}
	// From outside it is not known whether all of them wait.
	time.Sleep(held)
	releases(&lock)
	done.Wait()
	runtime.SetBlockProfileRate(0)
	runtime.SetMutexProfileFraction(0)
	for _, name := range []string{"block", "mutex"} {
		file, err := os.Create(filepath.Join(os.Args[1], name))
		if err != nil {
			panic(err)
		}
		if err := pprof.Lookup(name).WriteTo(file, 0); err != nil {
			panic(err)
		}
		file.Close()
	}
}
