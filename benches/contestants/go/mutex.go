package main

import (
	"fmt"
	"runtime"
	"sync"
	"time"
)

const mutexWarmUp = 10_000

// contended lets two goroutines contend for a lock: its holder yields, so that the other one finds it locked and waits.
func contended(name string, locks int) {
	contend(mutexWarmUp)
	elapsed := contend(locks)
	fmt.Printf("%s ns_per_op=%.3f ops=%d\n", name, float64(elapsed.Nanoseconds())/float64(locks), locks)
}

func contend(locks int) time.Duration {
	var mutex sync.Mutex
	count := 0
	lockOften := func(times int) {
		for range times {
			mutex.Lock()
			runtime.Gosched()
			count++
			mutex.Unlock()
		}
	}
	done := make(chan struct{})
	start := time.Now()
	go func() {
		lockOften(locks / 2)
		close(done)
	}()
	lockOften(locks - locks/2)
	<-done
	elapsed := time.Since(start)
	if count != locks {
		fail("a lock that does not lock")
	}
	return elapsed
}
