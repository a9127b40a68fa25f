package main

import (
	"fmt"
	"time"
)

const pingPongWarmUp = 10_000

// pingPong lets two goroutines send a number back and forth over two unbuffered channels.
func pingPong(name string, rounds int) {
	exchange(pingPongWarmUp)
	elapsed := exchange(rounds)
	fmt.Printf("%s ns_per_op=%.3f ops=%d\n", name, float64(elapsed.Nanoseconds())/float64(rounds), rounds)
}

func exchange(rounds int) time.Duration {
	ping, pong := make(chan int), make(chan int)
	start := time.Now()
	go func() {
		for round := range ping {
			pong <- round
		}
		close(pong)
	}()
	for round := range rounds {
		ping <- round
		if <-pong != round {
			fail("an answer out of turn")
		}
	}
	close(ping)
	<-pong
	return time.Since(start)
}
