package job

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// When the holder of the lease stops, another replica continues at once, and never
// do two run the job concurrently.
func TestOneReplicaRunsAJobWithALease(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		const replicas = 3
		var running atomic.Int32
		ran := make(chan int)
		stop := map[int]func(){}
		for i := range replicas {
			r := New(Config{TakeLease: s.TakeLease, GiveLease: s.GiveLease}, Job{
				Name: "purge", Every: 10 * time.Millisecond, Lease: time.Hour,
				Run: func(ctx context.Context) (bool, error) {
					if running.Add(1) != 1 {
						t.Error("two replicas run the job")
					}
					defer running.Add(-1)
					select {
					case ran <- i:
					case <-ctx.Done():
					}
					return false, nil
				},
			})
			ctx, cancel := context.WithCancel(t.Context())
			var done sync.WaitGroup
			done.Go(func() { r.Run(ctx) })
			stop[i] = func() { cancel(); done.Wait() }
			t.Cleanup(stop[i])
		}
		for range replicas {
			holder := <-ran
			for range 20 {
				if other := <-ran; other != holder {
					t.Fatalf("replica %d runs the job, %d has the lease", other, holder)
				}
			}
			stop[holder]()
		}
	})
}
