package keyring_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/keyring/vault"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// Tests of an attacker who writes to the database and has no master key.

// attacked is an installation with sealed keys whose database an attacker can
// write to.
type attacked struct {
	t   *testing.T
	url string
	cfg keyring.Config
	log *bytes.Buffer
}

func eachAttacked(t *testing.T, test func(t *testing.T, a attacked)) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		log := &bytes.Buffer{}
		test(t, attacked{t, url, keyring.Config{
			Dir: noFolder(t), Algorithm: jose.EdDSA, Store: storetest.OpenURL(t, url), Master: master(t, 1), AtRest: keyring.Sealed,
			Log: slog.New(slog.NewJSONHandler(log, nil)),
		}, log})
	})
}

// exec changes rows, and lets servers look at them.
func (a attacked) exec(statement string) {
	a.t.Helper()
	storetest.Exec(a.t, a.url, statement+"; UPDATE settings SET value = CAST(CAST(value AS BIGINT) + 1 AS TEXT) WHERE key = 'key_set_version'")
}

// plant inserts a key of the attacker's and returns a token of it.
func (a attacked) plant(status, mac string) (kid, token string) {
	a.t.Helper()
	key, err := jose.Generate(jose.ES256)
	must(a.t, err)
	kid = key.Public().Thumbprint()
	public, err := json.Marshal(key.Public().JWK(kid))
	must(a.t, err)
	a.exec(`INSERT INTO signing_keys (kid, algorithm, status, public_key, created_at, row_mac)
		VALUES ('` + kid + `', 'ES256', '` + status + `', '` + string(public) + `', '2026-11-27T12:00:00.000000Z', '` + mac + `')`)
	token, err = jose.NewSigner(key, kid).Sign([]byte(`{}`))
	must(a.t, err)
	return kid, token
}

// refusals are the entries of the audit log about rows.
func (a attacked) refusals(kid string) (n int) {
	a.t.Helper()
	events, err := a.cfg.Store.Events(a.t.Context(), 0)
	must(a.t, err)
	for _, e := range events {
		if e.Action == identity.ActionKeyRefuse && e.Outcome == store.OutcomeRefused && e.TargetID == kid {
			n++
		}
	}
	return n
}

// TestAnAttackerPlantsNoKey: a row without a good MAC is neither published nor used, is
// logged and audited once, and listed; until an operator accepts it.
func TestAnAttackerPlantsNoKey(t *testing.T) {
	eachAttacked(t, func(t *testing.T, a attacked) {
		ring := open(t, a.cfg)
		mac := rows(t, a.cfg.Store).First(store.KeyActive, "").MAC
		for _, status := range []string{"next", "retiring"} {
			for name, text := range map[string]string{"none": "", "of another row": mac, "made up": "v1.x.y"} {
				kid, token := a.plant(status, text)
				if err := ring.Refresh(t.Context()); err == nil || !strings.Contains(err.Error(), "pico-auth key accept "+vault.Argument(kid)) && name != "made up" {
					t.Errorf("%s, MAC %s: %v", status, name, err)
				}
				for when, r := range map[string]*keyring.Ring{"running": ring, "started": open(t, a.cfg)} {
					if _, err := verify(t, r, token); err == nil {
						t.Errorf("%s, MAC %s, %s: a forged token is accepted", status, name, when)
					}
					if body := r.Published().AllJWKS(); strings.Contains(string(body), kid) {
						t.Errorf("%s, MAC %s, %s: it is published", status, name, when)
					}
				}
				must(t, ring.Refresh(t.Context())) // is reported once
				if got := a.refusals(kid); got != 2 {
					t.Errorf("%s, MAC %s: %d audit events of two servers", status, name, got)
				}
				if !strings.Contains(a.log.String(), `"level":"ERROR","msg":"signing key row refused","kid":"`+kid) {
					t.Errorf("%s, MAC %s: it is not logged", status, name)
				}
				if k, err := admin(t, a.cfg).Key(t.Context(), kid); err != nil || k.Problem == "" {
					t.Errorf("%s, MAC %s: listed as %+v, %v", status, name, k, err)
				}
				a.exec("DELETE FROM signing_keys WHERE kid = '" + kid + "'")
			}
		}
		// What an operator knows to be right is used as it is.
		kid, token := a.plant("retiring", "")
		must(t, admin(t, a.cfg).Accept(t.Context(), operator, kid))
		must(t, ring.Refresh(t.Context()))
		if _, err := verify(t, ring, token); err != nil {
			t.Errorf("accepted: %v", err)
		}
		if err := admin(t, a.cfg).Accept(t.Context(), operator, kid); fault.KindOf(err) != fault.Conflict {
			t.Errorf("twice: %v", err)
		}
		wrong := a.cfg
		wrong.Master = master(t, 2)
		if err := admin(t, wrong).Accept(t.Context(), operator, kid); err == nil {
			t.Error("with another master key")
		}
	})
}

// TestAPlantedKeyDelaysNoStep: the step that meets it first says so and is still taken.
func TestAPlantedKeyDelaysNoStep(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		c := newClockwork()
		cfg := c.config(storetest.OpenURL(t, url, storetest.WithClock(c.wall)), noFolder(t))
		cfg.Master, cfg.AtRest = master(t, 1), keyring.Sealed
		ring := open(t, cfg)
		next := rotate(t, cfg, false)
		c.tick(t, 0, ring)
		planted, _ := attacked{t: t, url: url, cfg: cfg}.plant("next", "")
		c.pass(5 * time.Minute)
		if err := ring.Step(t.Context()); err == nil || !strings.Contains(err.Error(), planted) {
			t.Errorf("it is not reported: %v", err)
		}
		if got := statuses(t, cfg.Store, next); got != "active" || ring.Active().KID != next {
			t.Errorf("the key that is due is %s", got)
		}
	})
}

// TestAPlantedKeyCanBeRevoked, and so can one that took the place of the active one.
func TestAPlantedKeyCanBeRevoked(t *testing.T) {
	eachAttacked(t, func(t *testing.T, a attacked) {
		ring := open(t, a.cfg)
		for _, status := range []string{"next", "active", "retiring"} {
			kid, _ := a.plant(status, "")
			if _, err := admin(t, a.cfg).Revoke(t.Context(), operator, kid, false); err != nil {
				t.Errorf("%s: %v", status, err)
			}
			if got := statuses(t, a.cfg.Store, kid); got != "removed" {
				t.Errorf("%s: %s", status, got)
			}
		}
		must(t, ring.Refresh(t.Context()))
		accepts(t, open(t, a.cfg), ring)
	})
}

// The end of a lost key must not accept another row that the attacker has changed.
func TestALostKeyIsRevokedWithoutAcceptingAPlantedOne(t *testing.T) {
	eachAttacked(t, func(t *testing.T, a attacked) {
		a.cfg.Algorithms = []jose.Algorithm{jose.ES256}
		ring := open(t, a.cfg)
		for _, k := range ring.Published().Keys() {
			if k.Algorithm == jose.ES256 {
				a.exec("DELETE FROM signing_keys WHERE kid = '" + k.KID + "'")
			}
		}
		kid, token := a.plant("active", "")
		_, err := admin(t, a.cfg).Revoke(t.Context(), operator, ring.Active().KID, true)
		must(t, err)
		_ = ring.Refresh(t.Context()) // it says what it refuses
		if _, err := verify(t, ring, token); err == nil {
			t.Error("a forged token is accepted")
		}
		if body := ring.Published().AllJWKS(); strings.Contains(string(body), kid) {
			t.Error("the planted key is published")
		}
		if got := statuses(t, a.cfg.Store, kid); got != "removed" {
			t.Errorf("the planted key is %s", got)
		}
		accepts(t, open(t, a.cfg), ring)
	})
}

// TestEveryFieldOfARowIsAuthenticated: a change of any of them stops the start
// where the key is the active one, with the command that helps.
func TestEveryFieldOfARowIsAuthenticated(t *testing.T) {
	eachAttacked(t, func(t *testing.T, a attacked) {
		kid := open(t, a.cfg).Active().KID
		for field, value := range map[string]string{
			"created_at": "'2026-01-01T00:00:00.000000Z'", "activated_at": "'2026-01-01T00:00:00.000000Z'", "retired_at": "created_at", "removed_at": "created_at",
			"for_api": "0", "row_mac": "''",
		} {
			before := storetest.Rows(t, a.url, "SELECT "+field+" FROM signing_keys")
			a.exec("UPDATE signing_keys SET " + field + " = " + value)
			refused(t, a.cfg, kid, "pico-auth key accept "+vault.Argument(kid))
			if _, err := load(t.Context(), a.cfg); err == nil {
				t.Errorf("%s: it is shown as if it were good", field)
			}
			if _, _, err := admin(t, a.cfg).Rotate(t.Context(), operator, "", false); err == nil {
				t.Errorf("%s: a rotation goes on from it", field)
			}
			must(t, admin(t, a.cfg).Accept(t.Context(), operator, kid))
			if ring := open(t, a.cfg); field != "for_api" && ring.Active().KID != kid {
				t.Errorf("%s (%v): accepted, %s signs", field, before, ring.Active().KID)
			}
			if field == "for_api" {
				return // another key signs from now on
			}
		}
	})
}

// TestAStartReplacesNoKeyWhoseStatusWasChanged: the row says that the key is not
// active, and a new active key would make every token invalid.
func TestAStartReplacesNoKeyWhoseStatusWasChanged(t *testing.T) {
	eachAttacked(t, func(t *testing.T, a attacked) {
		kid := open(t, a.cfg).Active().KID
		for _, status := range []string{"next", "retiring", "removed"} {
			a.exec("UPDATE signing_keys SET status = '" + status + "'")
			refused(t, a.cfg, kid, "pico-auth key accept "+vault.Argument(kid))
		}
		a.exec("UPDATE signing_keys SET status = 'active'")
		if ring := open(t, a.cfg); ring.Active().KID != kid || len(rows(t, a.cfg.Store).Keys) != 1 {
			t.Errorf("%s signs, not %s", ring.Active().KID, kid)
		}
	})
}

// TestARevokedKeyStaysRevoked for as long as the process lives, even if its earlier
// row, which has a valid MAC, is restored.
func TestARevokedKeyStaysRevoked(t *testing.T) {
	eachAttacked(t, func(t *testing.T, a attacked) {
		ring := open(t, a.cfg)
		leaked, err := sign(ring)
		must(t, err)
		kid := ring.Active().KID
		second := rotate(t, a.cfg, true)
		old := rows(t, a.cfg.Store).Key(kid) // retiring
		must(t, ring.Refresh(t.Context()))
		_, err = admin(t, a.cfg).Revoke(t.Context(), operator, kid, false)
		must(t, err)
		must(t, ring.Refresh(t.Context()))

		set := rows(t, a.cfg.Store)
		must(t, a.cfg.Store.PutSigningKeys(t.Context(), set.Version, store.KeyChange{SigningKey: *old, Act: store.Act{By: operator}}))
		if err := ring.Refresh(t.Context()); err == nil || !strings.Contains(err.Error(), "is retiring in the database and was removed") {
			t.Errorf("it is not reported: %v", err)
		}
		must(t, ring.Refresh(t.Context()))
		if _, err := verify(t, ring, leaked); err == nil || a.refusals(kid) != 1 {
			t.Errorf("a token of the revoked key: %v; %d audit events", err, a.refusals(kid))
		}

		// The same for a key that signs again after another took over.
		third := rotate(t, a.cfg, true)
		must(t, ring.Refresh(t.Context()))
		a.exec("UPDATE signing_keys SET status = 'retiring' WHERE kid = '" + third + "'")
		a.exec("UPDATE signing_keys SET status = 'active' WHERE kid = '" + second + "'")
		_ = ring.Refresh(t.Context())
		if ring.Active().KID == second {
			t.Error("a key that was replaced signs again")
		}
	})
}

// TestRowsOfThePreviousReleaseAreAuthenticatedOnce, where their private halves show
// that a server wrote them, and a planted one is not among them.
func TestRowsOfThePreviousReleaseAreAuthenticatedOnce(t *testing.T) {
	eachAttacked(t, func(t *testing.T, a attacked) {
		before := open(t, a.cfg)
		rotate(t, a.cfg, true)
		pending := rotate(t, a.cfg, false)
		must(t, before.Refresh(t.Context()))
		a.exec("UPDATE signing_keys SET row_mac = ''; DELETE FROM settings WHERE key = 'key_rows_authenticated'")
		planted, token := a.plant("retiring", "")
		if loaded, err := load(t.Context(), a.cfg); err != nil || len(loaded.Keys()) != 3 {
			t.Errorf("a look before the upgrade: %v", err)
		}
		held, err := a.cfg.Store.TakeLease(t.Context(), "keys", "release before", time.Hour)
		if !held || err != nil {
			t.Fatal(held, err)
		}
		ring := open(t, a.cfg)
		if _, err := verify(t, ring, token); err == nil || len(ring.Published().Keys()) != 3 {
			t.Errorf("%d keys; the planted one: %v", len(ring.Published().Keys()), err)
		}
		accepts(t, ring, ring)
		for _, row := range rows(t, a.cfg.Store).Keys {
			if (row.MAC == "") != (row.KID == planted) {
				t.Errorf("the %s key has the MAC %q", row.Status, row.MAC)
			}
		}
		must(t, ring.Step(t.Context()))
		if held, err := a.cfg.Store.TakeLease(t.Context(), "keys", "release before", time.Hour); held || err != nil {
			t.Errorf("a process of the previous release takes steps without MACs: %v", err)
		}
		a.exec("UPDATE signing_keys SET row_mac = '' WHERE kid = '" + pending + "'")
		if again := open(t, a.cfg); len(again.Published().Keys()) != 2 {
			t.Errorf("authenticated again: %+v", again.Published().Keys())
		}
	})
}

// TestResealingRenewsTheMACs in the same transaction.
func TestResealingRenewsTheMACs(t *testing.T) {
	eachAttacked(t, func(t *testing.T, a attacked) {
		open(t, a.cfg)
		rotate(t, a.cfg, true)
		both, fresh := a.cfg, a.cfg
		both.Master, fresh.Master = master(t, 2).After(master(t, 1)), master(t, 2)
		if n, err := admin(t, both).Reseal(t.Context(), operator); n != 2 || err != nil {
			t.Fatal(n, err)
		}
		if keys := open(t, fresh).Published().Keys(); len(keys) != 2 {
			t.Errorf("%+v", keys)
		}
		a.exec("UPDATE signing_keys SET row_mac = '' WHERE status = 'retiring'")
		if _, err := admin(t, both).Reseal(t.Context(), operator); err == nil {
			t.Error("a row that was not accepted is authenticated")
		}
	})
}
