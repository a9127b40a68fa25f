// The Go contestant: the same workloads, under the same names and with the same one-line answers, as the Rust ones.
//
//	contestant pingpong|pingpong-mt [COUNT]
//	contestant hold COUNT ADDRESS
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
)

const (
	pingPongRounds = 1_000_000
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
	switch name {
	case "pingpong":
		runtime.GOMAXPROCS(1)
		pingPong(name, orDefault(count, pingPongRounds))
	case "pingpong-mt":
		runtime.GOMAXPROCS(2)
		pingPong(name, orDefault(count, pingPongRounds))
	case "hold":
		runtime.GOMAXPROCS(2)
		hold(orDefault(count, heldGoroutines), argument(3))
	default:
		fail("usage: contestant pingpong|pingpong-mt [COUNT], or contestant hold COUNT ADDRESS")
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
