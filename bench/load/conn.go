//go:build linux

package load

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// patience bounds the wait for an answer: longer than any server may take.
const patience = 60 * time.Second

var errAnswer = errors.New("not an answer that the bench can read")

// Conn is a kept connection to a server. It is for one goroutine.
type Conn struct {
	io  io.ReadWriteCloser
	buf []byte // what was read, at most one answer
	out []byte // the body of a chunked answer
}

func dial(addr string) (net.Conn, error) {
	return net.DialTimeout("tcp", addr, patience) //nolint:noctx // within this machine it takes no time
}

// Dial connects to an address of this machine.
func Dial(addr string) (*Conn, error) { return keep(dial(addr)) }

// DialFrom is Dial from another address of this machine.
func DialFrom(source string) func(addr string) (*Conn, error) {
	dialer := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
	return func(addr string) (*Conn, error) { return keep(dialer.Dial("tcp", addr)) }
}

func keep(c net.Conn, err error) (*Conn, error) {
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(24 * time.Hour)); err != nil { // a soak's length at most
		return nil, errors.Join(err, c.Close())
	}
	return &Conn{io: c, buf: make([]byte, 0, 16<<10)}, nil
}

// DialBlocking connects with a socket that blocks its thread: the kernel alone
// decides when an answer is noticed, and not Go's poller, whose timers and
// wake-ups would be measured as latency.
func DialBlocking(addr string) (*Conn, error) {
	c, err := dial(addr)
	if err != nil {
		return nil, err
	}
	defer c.Close() // the file is a duplicate
	f, err := c.(*net.TCPConn).File()
	if err != nil {
		return nil, err
	}
	f.Fd() // sets it to blocking mode for good
	return &Conn{io: f, buf: make([]byte, 0, 16<<10)}, nil
}

// Close hangs up.
func (c *Conn) Close() error { return c.io.Close() }

// Do sends a prepared request and returns the answer's status and body, which
// is good until the next Do.
func (c *Conn) Do(request []byte) (status int, body []byte, err error) {
	if _, err := c.io.Write(request); err != nil {
		return 0, nil, err
	}
	c.buf = c.buf[:0]
	end := -1
	for end < 0 {
		if err := c.more(); err != nil {
			return 0, nil, err
		}
		end = bytes.Index(c.buf, []byte("\r\n\r\n"))
	}
	if len(c.buf) < 12 || string(c.buf[:9]) != "HTTP/1.1 " {
		return 0, nil, errAnswer
	}
	status, err = strconv.Atoi(string(c.buf[9:12]))
	if err != nil {
		return 0, nil, errAnswer
	}
	body, err = c.body(status, end)
	return status, body, err
}

// body reads what follows the headers, which end at end.
func (c *Conn) body(status, end int) ([]byte, error) {
	header, start := c.buf[:end+2], end+4
	if status == 204 || status == 304 {
		return nil, nil
	}
	if text, found := field(header, "\r\nContent-Length: "); found {
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, errAnswer
		}
		for len(c.buf) < start+n {
			if err := c.more(); err != nil {
				return nil, err
			}
		}
		return c.buf[start : start+n], nil
	}
	if text, _ := field(header, "\r\nTransfer-Encoding: "); text != "chunked" {
		return nil, errAnswer
	}
	return c.chunks(start)
}

// Header returns a header of the latest answer, named as net/http writes it.
func (c *Conn) Header(name string) (string, bool) {
	header, _, _ := bytes.Cut(c.buf, []byte("\r\n\r\n"))
	return field(append(slices.Clip(header), "\r\n"...), "\r\n"+name+": ")
}

// field returns a header's value; net/http writes names in one form only.
func field(header []byte, name string) (string, bool) {
	_, after, found := bytes.Cut(header, []byte(name))
	if !found {
		return "", false
	}
	value, _, _ := bytes.Cut(after, []byte("\r\n"))
	return string(value), true
}

// chunks reads a body of unknown length.
func (c *Conn) chunks(at int) ([]byte, error) {
	c.out = c.out[:0]
	for {
		line := bytes.Index(c.buf[at:], []byte("\r\n"))
		if line < 0 {
			if err := c.more(); err != nil {
				return nil, err
			}
			continue
		}
		n, err := strconv.ParseUint(string(c.buf[at:at+line]), 16, 31)
		if err != nil {
			return nil, errAnswer
		}
		at += line + 2
		for len(c.buf) < at+int(n)+2 {
			if err := c.more(); err != nil {
				return nil, err
			}
		}
		if n == 0 {
			return c.out, nil
		}
		c.out = append(c.out, c.buf[at:at+int(n)]...)
		at += int(n) + 2
	}
}

func (c *Conn) more() error {
	if len(c.buf) == cap(c.buf) {
		c.buf = append(c.buf, make([]byte, cap(c.buf))...)[:len(c.buf)]
	}
	n, err := c.io.Read(c.buf[len(c.buf):cap(c.buf)])
	c.buf = c.buf[:len(c.buf)+n]
	if n > 0 {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return fmt.Errorf("the server hung up: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// Request prepares a request. bearer and body may be empty.
func Request(method, path, bearer, body string, headers ...string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: localhost\r\n", method, path)
	if bearer != "" {
		fmt.Fprintf(&b, "Authorization: Bearer %s\r\n", bearer)
	}
	for _, h := range headers {
		fmt.Fprintf(&b, "%s\r\n", h)
	}
	if method == "POST" {
		fmt.Fprintf(&b, "Content-Type: %s\r\nContent-Length: %d\r\n", typeOf(body), len(body))
	}
	b.WriteString("\r\n" + body)
	return b.Bytes()
}

// typeOf tells the bodies of the JSON API from forms.
func typeOf(body string) string {
	if body == "" || strings.ContainsRune("{[\"", rune(body[0])) {
		return "application/json"
	}
	return "application/x-www-form-urlencoded"
}
