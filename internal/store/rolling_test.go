package store_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// before is a process of the last release without sessions, reduced to the statements it
// runs. It knows families only.
type before struct{ w *world }

const stored = "2006-01-02T15:04:05.000000Z"

func (b before) at(d time.Duration) string { return b.w.clock.Now().Add(d).Format(stored) }

func (b before) exec(query string, args ...any) (n int64) {
	b.w.t.Helper()
	b.w.ok(b.w.s.Write(b.w.t.Context(), func(tx *store.Tx) (err error) {
		n, err = tx.Exec(query, args...)
		return err
	}))
	return n
}

func (b before) register(id string) identity.User {
	b.w.t.Helper()
	b.exec(`INSERT INTO users (id, email, email_key, display_name, password_hash, role, org_id, status,
		default_password, created_at, last_login_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		id, id, id, id, "hash", "viewer", "default", "active", 0, b.at(0), nil)
	return b.w.user(id)
}

func (b before) login(u identity.User, family, hash string) {
	b.w.t.Helper()
	b.exec("UPDATE users SET last_login_at = $1 WHERE id = $2 AND password_hash = $3", b.at(0), u.ID, string(u.PasswordHash))
	b.exec("INSERT INTO refresh_families (id, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)", family, u.ID, b.at(0), b.at(3*month))
	b.refresh(u, family, hash)
}

func (b before) refresh(u identity.User, family, hash string) {
	b.w.t.Helper()
	b.exec(`INSERT INTO refresh_tokens (id, user_id, family_id, token_hash, expires_at, created_at, access_jti, access_expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, hash, u.ID, family, hash, b.at(week), b.at(0), "jti-"+hash, b.at(15*time.Minute))
}

// rotate reports whether the rotation succeeded.
func (b before) rotate(u identity.User, family, use, next string) bool {
	b.w.t.Helper()
	if b.exec(`UPDATE refresh_tokens SET used_at = $1 WHERE token_hash IN ($2, $3) AND used_at IS NULL AND expires_at > $1
		AND EXISTS (SELECT 1 FROM refresh_families f WHERE f.id = family_id AND f.ended_at IS NULL AND f.expires_at > $1)`,
		b.at(0), use, use) != 1 {
		return false
	}
	b.refresh(u, family, next)
	return true
}

func (b before) end(u identity.User, family, reason string) {
	b.w.t.Helper()
	b.exec(`UPDATE refresh_families SET ended_at = $1, end_reason = $2 WHERE id = $3 AND user_id = $4
		AND (ended_at IS NULL OR end_reason IN ('own_change', 'role_change'))`, b.at(0), reason, family, u.ID)
}

func (b before) endOthers(u identity.User, but, reason string) {
	b.w.t.Helper()
	b.exec(`UPDATE refresh_families SET ended_at = $1, end_reason = $2 WHERE user_id = $3 AND id <> $4
		AND (ended_at IS NULL OR end_reason IN ('own_change', 'role_change'))`, b.at(0), reason, u.ID, but)
}

func (b before) purge() {
	b.w.t.Helper()
	b.exec(`DELETE FROM refresh_tokens WHERE id IN (SELECT t.id FROM refresh_families f JOIN refresh_tokens t ON t.family_id = f.id
		WHERE f.ended_at < $1 AND (t.access_expires_at IS NULL OR t.access_expires_at < $2) LIMIT $3)`, b.at(-24*time.Hour), b.at(-time.Minute), 200)
	b.exec(`DELETE FROM refresh_families WHERE NOT EXISTS (SELECT 1 FROM refresh_tokens t WHERE t.family_id = refresh_families.id)`)
}

// accepts checks that this server accepts an access token, and refuses that it
// does not.
func (w *world) accepts(u identity.User, sid, jti string) {
	w.t.Helper()
	if b := w.bearer(u, sid, jti); b.Ended.RefusedHere() {
		w.t.Errorf("%s of %s is refused: %s", jti, sid, b.Ended)
	}
}

func (w *world) refuses(u identity.User, sid, jti string) {
	w.t.Helper()
	if b := w.bearer(u, sid, jti); !b.Ended.RefusedHere() {
		w.t.Errorf("%s of %s is accepted: %q", jti, sid, b.Ended)
	}
}

func (w *world) ended(hash string) {
	w.t.Helper()
	_, err := w.rotate(hash, hash+"-never")
	w.refused(err, fault.Unauthenticated, "invalid_token")
}

func TestAProcessOfThePreviousReleaseWorksConcurrently(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		b := before{w}
		u := b.register("u")

		b.login(u, "f1", "a0")
		w.accepts(u, "f1", "jti-a0")
		g, err := w.rotate("a0", "a1") // the first use here makes the session
		w.ok(err)
		if g.SessionID != "f1" || g.FamilyID != "f1" || len(query("SELECT id FROM sessions WHERE id = 'f1' AND amr = 'pwd'")) != 1 {
			w.t.Errorf("the family got the session %q", g.SessionID)
		}
		if !b.rotate(u, "f1", "a1", "a2") {
			w.t.Error("the previous release cannot continue")
		}
		w.accepts(u, "f1", "jti-a2")
		_, err = w.rotate("a1", "never")
		if !errors.Is(err, store.ErrReuse) {
			w.t.Errorf("a token used there: %v", err)
		}

		b.login(u, "f2", "b0") // ended there, without a session and with one
		b.end(u, "f2", "logout")
		w.refuses(u, "f2", "jti-b0")
		w.ended("b0")
		w.login(u, "c0")
		b.end(u, "family-c0", "logout")
		w.refuses(u, "family-c0", "jti-c0")
		w.ended("c0")

		b.login(u, "f3", "d0") // ended here, before its first use
		w.ok(w.s.EndSession(w.t.Context(), act(u), "f3"))
		w.refuses(u, "f3", "jti-d0")
		if b.rotate(u, "f3", "d0", "never") {
			w.t.Error("the previous release rotates what ended here")
		}
		w.login(u, "e0")
		w.ok(w.s.EndSession(w.t.Context(), act(u), "family-e0"))
		if got := query("SELECT end_reason FROM refresh_families WHERE id = 'family-e0'"); got[0] != "logout" {
			w.t.Errorf("the previous release reads %q", got[0])
		}
	})
}

// A change of password in either release, read by the other.
func TestAChangeOfPasswordInThePreviousReleaseCountsHere(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		b := before{w}
		u := b.register("u")
		w.login(u, "mine")
		w.login(u, "other")
		b.exec("UPDATE users SET password_hash = $1, default_password = 0 WHERE id = $2 AND password_hash = $3", "changed", u.ID, "hash")
		b.end(u, "family-mine", "own_change")
		b.endOthers(u, "family-mine", "password_change")
		w.accepts(u, "family-mine", "jti-mine") // as in that release
		w.refuses(u, "family-other", "jti-other")
		w.ended("mine")
		w.ended("other")
		jtis, err := w.s.RevokedJTIs(w.t.Context())
		w.ok(err)
		if diff := cmp.Diff([]string{"jti-other"}, jtis); diff != "" {
			w.t.Errorf("listed (-want +got):\n%s", diff)
		}
		w.ok(w.s.ResetPassword(w.t.Context(), system("reset"), u.ID, "reset")) // ends it in spite of own_change
		w.refuses(u, "family-mine", "jti-mine")

		b.login(w.user(u.ID), "f1", "a0") // changed here, by a session of that release
		_, err = w.change(w.user(u.ID), "f1", "jti-a0", "a1")
		w.ok(err)
		w.refuses(u, "f1", "jti-a0")
		g, err := w.rotate("a1", "a2")
		w.ok(err)
		if g.SessionID != "f1" {
			w.t.Errorf("the session continues as %q", g.SessionID)
		}
		if !b.rotate(u, "f1", "a2", "a3") || len(query("SELECT id FROM refresh_families WHERE id = 'f1' AND ended_at IS NULL")) != 1 {
			w.t.Fatal("the previous release cannot continue")
		}
		w.accepts(u, "f1", "jti-a3")
		b.end(w.user(u.ID), "f1", "logout")
		for _, jti := range []string{"jti-a0", "jti-a1", "jti-a2", "jti-a3"} {
			w.refuses(u, "f1", jti)
		}
		w.ended("a3")
	})
}

func TestAPurgeOfThePreviousReleaseLeavesSessionsForThisOne(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		b := before{w}
		u := b.register("u")
		w.login(u, "t")
		w.ok(w.s.EndSession(w.t.Context(), act(u), "family-t"))
		w.clock.Advance(25 * time.Hour)
		b.purge()
		if n := len(query("SELECT id FROM sessions")); n != 1 {
			w.t.Fatalf("%d sessions", n)
		}
		w.clock.Advance(3*month + 25*time.Hour)
		w.purge(0)
		if n := len(query("SELECT id FROM sessions")); n != 0 {
			w.t.Errorf("%d sessions are left", n)
		}
	})
}

// Outstanding tokens stay valid when the schema of the previous release is
// upgraded, and what had ended stays ended.
func TestTokensSurviveTheUpgradeToSessions(t *testing.T) {
	storetest.EachEmpty(t, func(t *testing.T, url string) {
		clock := storetest.NewClock()
		storetest.Exec(t, url, versionFour(t, url))
		at := func(d time.Duration) string { return clock.Now().Add(d).Format(stored) }
		storetest.Exec(t, url, strings.NewReplacer("NOW", at(0), "WEEK", at(week), "LATER", at(3*month), "SOON", at(10*time.Minute)).Replace(`
INSERT INTO refresh_families (id, user_id, created_at, expires_at, ended_at, end_reason) VALUES
	('bare', 'u1', 'NOW', 'LATER', NULL, NULL), ('live', 'u1', 'NOW', 'LATER', NULL, NULL), ('out', 'u1', 'NOW', 'LATER', NULL, NULL),
	('over', 'u1', 'NOW', 'LATER', 'NOW', 'logout'), ('own', 'u1', 'NOW', 'LATER', 'NOW', 'own_change');
INSERT INTO refresh_tokens (id, user_id, family_id, token_hash, expires_at, created_at, used_at, access_jti, access_expires_at) VALUES
	('1', 'u1', 'live', 'l0', 'WEEK', 'NOW', 'NOW', 'jti-l0', 'SOON'), ('2', 'u1', 'live', 'l1', 'WEEK', 'NOW', NULL, 'jti-l1', 'SOON'),
	('3', 'u1', 'out', 'o0', 'WEEK', 'NOW', NULL, 'jti-o0', 'SOON'), ('4', 'u1', 'over', 'e0', 'WEEK', 'NOW', NULL, 'jti-e0', 'SOON'),
	('5', 'u1', 'own', 'w0', 'WEEK', 'NOW', NULL, 'jti-w0', 'SOON');`))
		w := &world{t: t, s: storetest.OpenURL(t, url, storetest.WithClock(clock)), clock: clock}
		u := w.user("u1")
		var want [][]string
		for _, id := range []string{"bare", "live", "out", "over", "own"} {
			want = append(want, []string{id, at(0), at(week)})
		}
		want[0][2] = at(3 * month) // no token tells when it is idle
		if diff := cmp.Diff(want, storetest.Rows(t, url, "SELECT id, last_used_at, idle_expires_at FROM sessions ORDER BY id")); diff != "" {
			t.Errorf("sessions (-want +got):\n%s", diff)
		}
		for _, token := range [][2]string{{"live", "jti-l0"}, {"live", "jti-l1"}, {"out", "jti-o0"}, {"own", "jti-w0"}} {
			w.accepts(u, token[0], token[1])
		}
		w.refuses(u, "over", "jti-e0")
		w.ended("e0")
		w.ended("w0")
		jtis, err := w.s.RevokedJTIs(t.Context())
		w.ok(err)
		if diff := cmp.Diff([]string{"jti-e0"}, jtis); diff != "" {
			t.Errorf("listed (-want +got):\n%s", diff)
		}

		g, err := w.rotate("l1", "l2")
		w.ok(err)
		if g.SessionID != "live" || g.FamilyID != "live" {
			t.Errorf("continues as %+v", g)
		}
		w.accepts(u, "live", "jti-l2")
		w.ok(w.s.EndSession(t.Context(), act(u), "out"))
		w.refuses(u, "out", "jti-o0")
		w.ended("o0")
		if _, err = w.rotate("l0", "never"); !errors.Is(err, store.ErrReuse) {
			t.Errorf("a token used before the upgrade: %v", err)
		}
		w.refuses(u, "live", "jti-l2")
	})
}

// versionFour is a database of the last release without sessions, with a user.
func versionFour(t *testing.T, url string) string {
	t.Helper()
	script := versionOne(t)
	for _, name := range []string{"0002_keys", "0003_key_life", "0004_key_ahead"} {
		text, err := os.ReadFile("migrations/" + name + ".sql")
		if err != nil {
			t.Fatal(err)
		}
		script += string(text)
	}
	if strings.HasPrefix(url, "sqlite") {
		return script + gooseSQLite + "INSERT INTO goose_db_version (version_id, is_applied) VALUES (2, 1), (3, 1), (4, 1);"
	}
	return script + goosePostgres + "INSERT INTO goose_db_version (version_id, is_applied) VALUES (2, true), (3, true), (4, true);"
}
