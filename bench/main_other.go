//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "bench: what a process uses is asked of Linux; there is no bench for this system")
	os.Exit(1)
}
