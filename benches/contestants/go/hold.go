package main

import (
	"bufio"
	"fmt"
	"net/http"
	_ "net/http/pprof"
	"os"
	"runtime"
	"sync/atomic"
	"time"
)

// hold keeps goroutines waiting, serves net/http/pprof on the address, prints "ready" once all of them wait, answers
// each line on stdin with the ticker's longest stall since the line before, and ends with stdin.
func hold(goroutines int, address string) {
	go func() { fail(http.ListenAndServe(address, nil).Error()) }()
	kept := make([]chan struct{}, 0, goroutines)
	for number := range goroutines {
		wait := wait{kind: number % 3, channel: make(chan struct{})}
		kept = append(kept, wait.channel)
		go serveConnection(wait)
	}
	for waiting.Load() < int64(goroutines) {
		time.Sleep(time.Millisecond)
	}
	ticker := &ticker{}
	go ticker.tick()
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fmt.Printf("stall_ns=%d\n", ticker.takeLongestStall())
	}
	runtime.KeepAlive(kept)
}

const period = time.Millisecond

// ticker sleeps a millisecond at a time and keeps its greatest delay.
type ticker struct {
	ticks, longestStall atomic.Int64
}

func (t *ticker) tick() {
	last := time.Now()
	for {
		time.Sleep(period)
		now := time.Now()
		late := int64(now.Sub(last) - period)
		for {
			longest := t.longestStall.Load()
			if late <= longest || t.longestStall.CompareAndSwap(longest, late) {
				break
			}
		}
		t.ticks.Add(1)
		last = now
	}
}

// takeLongestStall waits for two more ticks first: a stall shows only when it is over.
func (t *ticker) takeLongestStall() int64 {
	seen := t.ticks.Load()
	for t.ticks.Load() < seen+2 {
		time.Sleep(200 * time.Microsecond)
	}
	return t.longestStall.Swap(0)
}
