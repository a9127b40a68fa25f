// The Go contestant: the same workloads, under the same names and with the same one-line answers, as the Rust ones.
//
//	contestant pingpong|pingpong-mt|mutex [COUNT]
//	contestant hold COUNT ADDRESS
//
// RUNTIME_PROBE_BLOCK_RATE is the block profile's rate; without it the profile is off.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
)

// blockRate sets the block profile's rate in nanoseconds, from the variable that the probe reads, too.
const blockRate = "RUNTIME_PROBE_BLOCK_RATE"

const (
	pingPongRounds = 1_000_000
	mutexLocks     = 1_000_000
	heldGoroutines = 1_000
)

func main() {
	name, count := argument(1), 0
	if text := argument(2); text != "" {
		parsed, err := strconv.Atoi(text)
		if err != nil {
			fail("the count of operations: " + err.Error())
		}
		count = parsed
	}
	if text := os.Getenv(blockRate); text != "" {
		rate, err := strconv.Atoi(text)
		if err != nil {
			fail(blockRate + ": " + err.Error())
		}
		runtime.SetBlockProfileRate(rate)
	}
	switch name {
	case "pingpong":
		runtime.GOMAXPROCS(1)
		pingPong(name, orDefault(count, pingPongRounds))
	case "pingpong-mt":
		runtime.GOMAXPROCS(2)
		pingPong(name, orDefault(count, pingPongRounds))
	case "mutex":
		runtime.GOMAXPROCS(1)
		contended(name, orDefault(count, mutexLocks))
	case "hold":
		runtime.GOMAXPROCS(2)
		hold(orDefault(count, heldGoroutines), argument(3))
	default:
		fail("usage: contestant pingpong|pingpong-mt|mutex [COUNT], or contestant hold COUNT ADDRESS")
	}
}

func argument(index int) string {
	if index < len(os.Args) {
		return os.Args[index]
	}
	return ""
}

func orDefault(count, fallback int) int {
	if count == 0 {
		return fallback
	}
	return count
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(1)
}
