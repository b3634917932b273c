// Package load sends requests over real sockets and measures the answers. It
// is cheap, since it shares the cores with what it measures: requests are
// prepared bytes on kept connections, and of an answer only the status and the
// body are looked at.
//
// It owns connections, the two kinds of loop and the histogram; it does not
// know what the requests mean. The scenarios of the bench call it.
package load
