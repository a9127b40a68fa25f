// Starts the same goroutines as the tasks of support/tasks.rs, and writes Go's answers about them: the dumps go into the
// folder of the first argument, and for each request of the further arguments a line goes to standard output.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	_ "net/http/pprof"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"sync"
	"time"
)

func kindChanReceive(receive chan int) { <-receive }

func kindChanSend(send chan int) { send <- 1 }

func kindSelect(receive chan int) {
	select {
	case <-receive:
	case <-time.After(time.Hour):
	}
}

func kindSleep() { time.Sleep(time.Hour) }

func kindMutexLock(mutex *sync.Mutex) { mutex.Lock() }

func kindIoWait(listener net.Listener) { listener.Accept() }

func startAll() {
	for range 3 {
		go kindChanReceive(make(chan int))
	}
	go kindChanSend(make(chan int))
	go kindSelect(make(chan int))
	go kindSleep()
	mutex := new(sync.Mutex)
	mutex.Lock()
	go kindMutexLock(mutex)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	go kindIoWait(listener)
}

func main() {
	startAll()
	time.Sleep(200 * time.Millisecond)
	for debug := range 3 {
		file, err := os.Create(filepath.Join(os.Args[1], fmt.Sprint("debug", debug)))
		check(err)
		check(pprof.Lookup("goroutine").WriteTo(file, debug))
		check(file.Close())
	}
	server := httptest.NewServer(http.DefaultServeMux)
	for _, line := range os.Args[2:] {
		method, path, _ := strings.Cut(line, " ")
		request, err := http.NewRequest(method, server.URL+path, nil)
		check(err)
		response, err := http.DefaultTransport.RoundTrip(request)
		check(err)
		body, err := io.ReadAll(response.Body)
		check(err)
		fmt.Print(line, "|", response.StatusCode)
		for _, name := range []string{"Content-Type", "X-Content-Type-Options", "Content-Disposition", "X-Go-Pprof", "Allow"} {
			fmt.Print("|", response.Header.Get(name))
		}
		if response.StatusCode < 400 {
			body = nil
		}
		fmt.Printf("|%q\n", body)
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
