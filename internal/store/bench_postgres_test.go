//go:build linux

package store_test

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/engine"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// BenchmarkRotations on PostgreSQL, whose test server is not durable: in one
// statement, compared with a transaction of several statements. It runs with the
// server on the same machine and across a network.
func BenchmarkRotationsOnPostgreSQL(b *testing.B) {
	var table strings.Builder
	for _, network := range []struct {
		name      string
		roundTrip time.Duration
	}{{"local", 0}, {"away", 500 * time.Microsecond}} {
		open := func(b *testing.B) *store.Store {
			database := storetest.Postgres(b)
			if network.roundTrip > 0 {
				database = delayed(b, database, network.roundTrip)
			}
			return storetest.OpenURL(b, database)
		}
		for _, clients := range []int{1, 16, 64} {
			var one, steps float64
			name := fmt.Sprintf("%s/clients=%d", network.name, clients)
			b.Run(name+"/one", func(b *testing.B) { one = benchRotate(b, open(b), clients) })
			b.Run(name+"/steps", func(b *testing.B) {
				s := open(b)
				steps = benchRotations(b, s, s.RotateInSteps, clients)
			})
			if one > 0 && steps > 0 {
				fmt.Fprintf(&table, "%10s%8d%10.0f%10.0f%10.2f\n", network.roundTrip, clients, one, steps, one/steps)
			}
		}
	}
	if table.Len() > 0 {
		fmt.Printf("rotations per second on PostgreSQL, and one statement over a transaction of five\n%10s%8s%10s%10s%10s\n%s",
			"round trip", "clients", "one", "steps", "ratio", table.String())
	}
}

// delayed returns the URL of the PostgreSQL database behind a network with that
// round trip time: a proxy on loopback delays every packet by half of it.
func delayed(tb testing.TB, database string, roundTrip time.Duration) string {
	tb.Helper()
	target, err := engine.Parse(database)
	if err != nil {
		tb.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var connections sync.WaitGroup
	tb.Cleanup(func() {
		_ = listener.Close()
		connections.Wait()
	})
	connections.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return // closed
			}
			network, address := pgconn.NetworkAddress(target.Server.Host, target.Server.Port)
			server, err := net.Dial(network, address)
			if err != nil {
				tb.Errorf("the proxy: %v", err)
				_ = client.Close()
				continue
			}
			connections.Go(func() { forward(server, client, roundTrip/2) })
			connections.Go(func() { forward(client, server, roundTrip/2) })
		}
	})
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(target.Server.User, target.Server.Password),
		Host: listener.Addr().String(), Path: "/" + target.Server.Database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// packet is what one read returned, and when it arrives.
type packet struct {
	bytes []byte
	at    time.Time
}

// forward passes on what it reads, each packet after the delay, until either
// end closes. Packets do not delay each other.
func forward(to, from net.Conn, delay time.Duration) {
	packets := make(chan packet, 256)
	go func() {
		defer to.Close()
		for p := range packets {
			sleepUntil(p.at)
			_, _ = to.Write(p.bytes) // the reader notices a lost connection
		}
	}()
	defer close(packets)
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			packets <- packet{append([]byte(nil), buffer[:n]...), time.Now().Add(delay)}
		}
		if err != nil {
			return
		}
	}
}

// sleepUntil is exact to about 0.1 ms. The runtime's own timers are rounded up
// to a millisecond while nothing else runs.
func sleepUntil(at time.Time) {
	for left := time.Until(at); left > 0; left = time.Until(at) {
		pause := syscall.NsecToTimespec(left.Nanoseconds())
		_ = syscall.Nanosleep(&pause, nil) // interrupted: repeat
	}
}
