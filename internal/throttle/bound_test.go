package throttle_test

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

func TestAFloodOfUnknownAddressesTakesAFixedNumberOfRows(t *testing.T) {
	w := newWorld(t, sqlite(t))
	const addresses, atOnce = 12_000, 64
	var all sync.WaitGroup
	for i := range atOnce {
		all.Go(func() {
			for n := i; n < addresses; n += atOnce {
				w.guess(from(n/10), identity.User{}, strconv.Itoa(n)+"@pico.example")
			}
		})
	}
	all.Wait()
	rows := storetest.Rows(t, w.url, "SELECT account, network FROM throttle ORDER BY 1, 2")
	digest := regexp.MustCompile(`^(network|account) [0-9]{1,4}$`)
	for _, row := range rows {
		if row[0] != store.UnknownAccount || !digest.MatchString(row[1]) {
			t.Fatalf("a row of %q", row)
		}
	}
	if len(rows) > 10_000 || len(rows) < 8_000 {
		t.Errorf("%d rows", len(rows))
	}
}

func TestAUserHasAFixedNumberOfNetworksAndKnownOnesStay(t *testing.T) {
	each(t, func(w *world) {
		for n := range 130 {
			w.succeeds(from(n), ada)
			w.clock.Advance(time.Second)
		}
		next := attackers()
		for range 150 {
			w.clock.Advance(6 * time.Minute)
			w.guess(next(), ada, ada.Email)
		}
		w.succeeds(from(129), ada)
		rows := storetest.Rows(w.t, w.url, "SELECT network, signed_in_at FROM throttle WHERE account = 'ada' AND network <> ''")
		known := 0
		for _, row := range rows {
			if row[1] != "" {
				known++
			}
		}
		if len(rows) > 101 || known != 100 {
			w.t.Errorf("%d networks, of which %d are known", len(rows), known)
		}
	})
}

func TestRowsThatAreOfNoUseArePurged(t *testing.T) {
	each(t, func(w *world) {
		w.succeeds(from(1), ada)
		for n := range 5 {
			w.guess(from(2), identity.User{}, fmt.Sprintf("%d@pico.example", n))
			w.guess(from(3), bob, bob.Email)
		}
		purged := func() (n int) {
			for {
				one, err := w.store.PurgeThrottle(w.t.Context(), 3)
				w.ok(err)
				if n += one; one < 3 {
					return n
				}
			}
		}
		if n := purged(); n != 0 {
			w.t.Errorf("%d rows were purged at once", n)
		}
		w.clock.Advance(24*time.Hour + time.Second)
		if n := purged(); n != 12 {
			w.t.Errorf("%d rows of failures were purged after a day", n)
		}
		w.clock.Advance(29 * 24 * time.Hour)
		if n := purged(); n != 1 {
			w.t.Errorf("%d rows of known networks were purged after a month", n)
		}
	})
}

func TestFailuresAreForgottenAfterADay(t *testing.T) {
	each(t, func(w *world) {
		next := attackers()
		for range 20 {
			w.guess(next(), ada, ada.Email)
		}
		w.refused(next(), ada, "account")
		w.clock.Advance(24 * time.Hour)
		for i := range 20 {
			if refused := w.fails(next(), ada, ada.Email); refused != nil {
				w.t.Fatalf("failure %d: %+v", i, refused)
			}
		}
		w.refused(next(), ada, "account")
	})
}

// The code of a device has 34 bits. A user with any number of sessions, and with requests
// that are made at once, has 50 wrong ones a day; right ones do not count.
func TestWrongUserCodesOfAUserAreLimitedToADay(t *testing.T) {
	each(t, func(w *world) {
		by := from(1).AsUser("ada")
		for range 100 {
			w.ok(w.UserCode(w.t.Context(), by, func() error { return nil }))
		}
		const all = 80
		var tried, entered sync.WaitGroup
		var wrong, refused atomic.Int64
		decide := make(chan struct{})
		entered.Add(all)
		for n := range all {
			tried.Go(func() {
				err := w.UserCode(w.t.Context(), from(n).AsUser("ada"), func() error {
					entered.Done()
					<-decide
					return fmt.Errorf("find: %w", store.ErrNoUserCode)
				})
				if errors.Is(err, store.ErrNoUserCode) {
					wrong.Add(1)
					return
				}
				refused.Add(1)
				entered.Done()
			})
		}
		entered.Wait()
		close(decide)
		tried.Wait()
		if wrong.Load() != 50 || refused.Load() != all-50 {
			w.t.Errorf("%d tried, %d refused", wrong.Load(), refused.Load())
		}
		f := w.refusal(w.UserCode(w.t.Context(), by, func() error { return nil }))
		if f == nil || f.Limit != (fault.Limit{Name: "user-codes", Quota: 50, Window: 24 * time.Hour}) {
			w.t.Fatalf("refused %+v", f)
		}
		if got := w.told(identity.ActionThrottle); len(got) != 1 || got[0].Detail != "user-codes ada" {
			w.t.Errorf("told %+v", got)
		}
		w.ok(w.UserCode(w.t.Context(), from(1).AsUser("bob"), func() error { return nil }))
		w.clock.Advance(f.RetryAfter)
		w.ok(w.UserCode(w.t.Context(), by, func() error { return nil }))
	})
}
