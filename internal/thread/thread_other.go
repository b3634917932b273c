//go:build !linux

package thread

// stepBack does nothing: the system has no priority of a thread.
func stepBack() {}

// Yield does nothing.
func Yield() {}
