package store_test

import (
	"testing"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

func TestGuessesOfUsersOfTheLastReleaseAreCountedAndEndWithTheUser(t *testing.T) {
	storetest.EachEmpty(t, func(t *testing.T, url string) {
		storetest.Exec(t, url, versionSeven(t, url, [3]string{"u", "ada@example.org", "ada@example.org"}, [3]string{"v", "bob@example.org", "bob@example.org"}))
		s := storetest.OpenURL(t, url)
		none := func(store.Guesses) ([]store.Event, error) { return nil, nil }
		for i, key := range []store.ThrottleKey{
			{Account: "u", Network: "192.0.2.0/24"}, {Account: "v", Network: "192.0.2.0/24"}, {Account: "u", Network: "192.0.2.0/24"},
		} {
			g, err := s.CountGuess(t.Context(), key, false, none)
			if err != nil || g.Network.Count != int64(1+i/2) || g.All.Count != int64(1+i/2) {
				t.Errorf("guess %d: %+v, %v", i, g, err)
			}
		}
		act := store.Act{Action: identity.ActionDeleteUser, By: identity.Actor{Kind: identity.ActorSystem}}
		if err := s.DeleteUser(t.Context(), act, "u"); err != nil {
			t.Fatal(err)
		}
		if rows := storetest.Rows(t, url, "SELECT DISTINCT account FROM throttle"); len(rows) != 1 || rows[0][0] != "v" {
			t.Errorf("rows of %v are left", rows)
		}
	})
}
