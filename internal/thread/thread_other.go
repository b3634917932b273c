//go:build !linux

package thread

// StepBack does nothing: the system has no priority of a thread.
func StepBack() {}

// Yield does nothing.
func Yield() {}
