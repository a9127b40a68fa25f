// Reads each trace by Go's own reader and checks its events by the strict validator of Go's own tests. Built inside
// GOROOT/src/cmd by an overlay, as both are internal packages.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"internal/trace"
	"internal/trace/testtrace"
	"internal/trace/version"
	"io"
	"os"
)

func main() {
	failed := false
	for _, path := range os.Args[1:] {
		events, err := validate(path)
		if err != nil {
			failed = true
			fmt.Printf("%s: after %d events: %v\n", path, events, err)
		}
	}
	if failed {
		os.Exit(1)
	}
}

func validate(path string) (events int, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	reader, err := trace.NewReader(bufio.NewReader(file))
	if err != nil {
		return 0, err
	}
	validator := testtrace.NewValidator()
	validator.GoVersion = version.Go123
	for {
		event, err := reader.ReadEvent()
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return events, err
		}
		if err := validator.Event(event); err != nil {
			return events, fmt.Errorf("%w\n%s", err, event.String())
		}
		events++
	}
}
