package main

import (
	"sync/atomic"
	"time"
)

// wait is the wait of a held goroutine: a receive, a select, a sleep.
type wait struct {
	kind    int
	channel chan struct{}
}

// sleep is longer than any run.
const sleep = 24 * time.Hour

var (
	// waiting counts the goroutines that have reached their wait.
	waiting atomic.Int64
	// never is the channel of the select's other branch.
	never = make(chan struct{})
)

// An application's call chain, eight functions deep, with a wait at its end.

//go:noinline
func serveConnection(w wait) { handleRequest(w) }

//go:noinline
func handleRequest(w wait) { authorize(w) }

//go:noinline
func authorize(w wait) { loadSession(w) }

//go:noinline
func loadSession(w wait) { queryStore(w) }

//go:noinline
func queryStore(w wait) { withConnection(w) }

//go:noinline
func withConnection(w wait) { checkout(w) }

//go:noinline
func checkout(w wait) { waitTurn(w) }

//go:noinline
func waitTurn(w wait) {
	waiting.Add(1)
	switch w.kind {
	case 0:
		<-w.channel
	case 1:
		select {
		case <-w.channel:
		case <-never:
		}
	default:
		time.Sleep(sleep)
	}
}
