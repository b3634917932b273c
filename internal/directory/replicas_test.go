package directory_test

import (
	"sync"
	"testing"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/password"
)

// Replicas that start concurrently with a new auth.admin_password reset it once: a
// second reset would end the sessions that started in between.
func TestTheDefaultPasswordIsReplacedOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.ensure(t, adminEmail, password.Default)
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				if _, err := w.EnsureAdmin(t.Context(), adminEmail, "battery staple"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if w.byEmail(t, adminEmail).DefaultPassword {
			t.Error("the mark was kept")
		}
		events, err := w.store.Events(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		resets := 0
		for _, e := range events {
			if e.Action == identity.ActionResetPassword {
				resets++
			}
		}
		if resets != 1 {
			t.Errorf("%d resets", resets)
		}
	})
}
