package server_test

import (
	"sync"
	"testing"

	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// testThroughAPooler starts replicas on an empty database together, and clients that
// sign in and refresh concurrently.
func testThroughAPooler(t *testing.T, path string) {
	for _, mode := range []string{"session", "transaction"} {
		f := newFleet(t, path, storetest.Pooler(t, storetest.EmptyPostgres(t), "pool_mode = "+mode), 3, "AUTH_MASTER_KEY="+masterKey(1))
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 3 {
					a, _, err := f.call("POST", auth+"/login", "", body{"email": rootEmail, "password": rootPassword})
					for range 4 {
						if err != nil || a.status != 200 {
							t.Errorf("%d %v %v", a.status, a.fields, err)
							return
						}
						a, _, err = f.call("POST", auth+"/refresh", "", body{"refresh_token": a.text("refresh_token")})
					}
					if me, err := f.at(f.replicas[0].base, "GET", auth+"/me", a.text("access_token"), nil); err != nil || me.status != 200 {
						t.Errorf("%d %v %v", me.status, me.fields, err)
					}
				}
			})
		}
		all.Wait()
		walkGroups(f)
		walkRaces(f)
		for _, r := range f.replicas {
			r.stop()
		}
	}
}
