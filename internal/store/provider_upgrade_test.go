package store_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// versionThirteen is a database of the last release without a provider, with a user.
func versionThirteen(t *testing.T, url string) string {
	t.Helper()
	script, goose, applied, collation := versionOne(t), goosePostgres, "true", `"C"`
	if strings.HasPrefix(url, "sqlite") {
		goose, applied, collation = gooseSQLite, "1", "BINARY"
	}
	files, err := os.ReadDir("migrations")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		version := strings.TrimLeft(file.Name()[:4], "0")
		if version == "1" || file.Name() >= "0014" {
			continue
		}
		text, err := os.ReadFile("migrations/" + file.Name())
		if err != nil {
			t.Fatal(err)
		}
		script += strings.ReplaceAll(string(text), "COLLATE bytewise", "COLLATE "+collation)
		goose += fmt.Sprintf("INSERT INTO goose_db_version (version_id, is_applied) VALUES (%s, %s);\n", version, applied)
	}
	return script + goose
}

// withoutProvider is a process of that release, reduced to the statements it runs for a
// login, a refresh, a logout and a bearer.
type withoutProvider struct{ before }

func (b withoutProvider) login(u identity.User, id, hash string) {
	b.w.t.Helper()
	b.exec(`INSERT INTO sessions (id, user_id, created_at, auth_time, amr, acr, last_used_at, address, user_agent, idle_expires_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $3, $7, $8, $9, $10)`,
		id, u.ID, b.at(0), b.at(0), "pwd", identity.ACROneFactor, "192.0.2.7", "curl", b.at(week), b.at(3*month))
	b.exec(`INSERT INTO refresh_families (id, user_id, created_at, expires_at, session_id, client_id, scope, shared_hash)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, id, u.ID, b.at(0), b.at(3*month), id, identity.FirstPartyClient, "", nil)
	b.insert(u, id, hash)
}

func (b withoutProvider) insert(u identity.User, family, hash string) {
	b.w.t.Helper()
	b.exec(`INSERT INTO refresh_tokens (id, user_id, family_id, token_hash, expires_at, created_at, access_jti, access_expires_at, shared)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, hash, u.ID, family, hash, b.at(week), b.at(0), "jti-"+hash, b.at(15*time.Minute), 0)
}

// rotate reports whether the rotation succeeded.
func (b withoutProvider) rotate(u identity.User, family, use, next string) bool {
	b.w.t.Helper()
	if b.exec(`UPDATE refresh_tokens SET used_at = $1 WHERE token_hash IN ($2, $3) AND used_at IS NULL AND expires_at > $1
		AND EXISTS (SELECT 1 FROM refresh_families f WHERE f.id = family_id AND f.client_id = $4 AND f.ended_at IS NULL AND f.expires_at > $1)`,
		b.at(0), use, use, identity.FirstPartyClient) != 1 {
		return false
	}
	b.insert(u, family, next)
	b.exec("UPDATE sessions SET last_used_at = $1, idle_expires_at = $2 WHERE id = $3", b.at(0), b.at(week), family)
	return true
}

func (b withoutProvider) logout(u identity.User, id string) {
	b.w.t.Helper()
	b.exec("UPDATE sessions SET ended_at = $1, end_reason = $2, spared_jti = NULL WHERE user_id = $3 AND id = $4 AND ended_at IS NULL",
		b.at(0), "logout", u.ID, id)
	b.exec(`UPDATE refresh_families AS f SET ended_at = $1, end_reason = $2
		WHERE f.user_id || '' = $3 AND (f.session_id = $4 OR f.id = $4) AND ended_at IS NULL`, b.at(0), "logout", u.ID, id)
}

// Sessions and refresh tokens of the release before work after the migration to the
// provider's tables, and what had ended stays ended.
func TestSessionsSurviveTheUpgradeToTheProvider(t *testing.T) {
	storetest.EachEmpty(t, func(t *testing.T, url string) {
		clock := storetest.NewClock()
		at := func(d time.Duration) string { return clock.Now().Add(d).Format(stored) }
		storetest.Exec(t, url, versionThirteen(t, url)+strings.NewReplacer("NOW", at(0), "WEEK", at(week), "LATER", at(3*month), "SOON", at(10*time.Minute)).Replace(`
INSERT INTO sessions (id, user_id, created_at, auth_time, amr, acr, last_used_at, address, user_agent, idle_expires_at, expires_at, ended_at, end_reason) VALUES
	('live', 'u1', 'NOW', 'NOW', 'pwd', 'urn:pico-auth:acr:1', 'NOW', '192.0.2.7', 'curl', 'WEEK', 'LATER', NULL, NULL),
	('other', 'u1', 'NOW', 'NOW', 'pwd', 'urn:pico-auth:acr:1', 'NOW', '192.0.2.8', '', 'WEEK', 'LATER', NULL, NULL),
	('over', 'u1', 'NOW', 'NOW', 'pwd', 'urn:pico-auth:acr:1', 'NOW', '', '', 'WEEK', 'LATER', 'NOW', 'logout');
INSERT INTO refresh_families (id, user_id, created_at, expires_at, session_id, ended_at, end_reason) VALUES
	('live', 'u1', 'NOW', 'LATER', 'live', NULL, NULL), ('other', 'u1', 'NOW', 'LATER', 'other', NULL, NULL),
	('over', 'u1', 'NOW', 'LATER', 'over', 'NOW', 'logout');
INSERT INTO refresh_tokens (id, user_id, family_id, token_hash, expires_at, created_at, used_at, access_jti, access_expires_at) VALUES
	('1', 'u1', 'live', 'l0', 'WEEK', 'NOW', 'NOW', 'jti-l0', 'SOON'), ('2', 'u1', 'live', 'l1', 'WEEK', 'NOW', NULL, 'jti-l1', 'SOON'),
	('3', 'u1', 'other', 'o0', 'WEEK', 'NOW', NULL, 'jti-o0', 'SOON'), ('4', 'u1', 'over', 'e0', 'WEEK', 'NOW', NULL, 'jti-e0', 'SOON');`))
		w := &world{t: t, s: storetest.OpenURL(t, url, storetest.WithClock(clock)), clock: clock}
		u := w.user("u1")
		for _, token := range [][2]string{{"live", "jti-l0"}, {"live", "jti-l1"}, {"other", "jti-o0"}} {
			w.accepts(u, token[0], token[1])
		}
		w.refuses(u, "over", "jti-e0")
		w.ended("e0")
		listed, err := w.s.Sessions(t.Context(), by(u), u.ID, store.ListFilter{})
		w.ok(err)
		got := map[string]string{}
		for _, s := range listed.Items {
			got[s.ID] = s.ClientID + " " + s.Address + " " + strings.Join(s.Methods, " ")
		}
		want := map[string]string{"live": identity.FirstPartyClient + " 192.0.2.7 pwd", "other": identity.FirstPartyClient + " 192.0.2.8 pwd"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("listed (-want +got):\n%s", diff)
		}

		g, err := w.rotate("l1", "l2")
		w.ok(err)
		if g.SessionID != "live" || g.FamilyID != "live" || g.User.ID != "u1" {
			t.Errorf("continues as %+v", g)
		}
		w.accepts(u, "live", "jti-l2")
		w.ok(w.s.EndSession(t.Context(), act(u), "other"))
		w.refuses(u, "other", "jti-o0")
		w.ended("o0")
		if _, err = w.rotate("l0", "never"); !errors.Is(err, store.ErrReuse) {
			t.Errorf("a token used before the upgrade: %v", err)
		}
		w.refuses(u, "live", "jti-l2")
		w.login(u, "new")
		w.accepts(u, "family-new", "jti-new")
	})
}

// During an upgrade on PostgreSQL a process of the release before runs on the tables of
// this one: each continues, and ends, what the other began.
func TestAProcessWithoutTheProviderWorksConcurrently(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		b := withoutProvider{before{w}}
		u := b.register("u")

		b.login(u, "f1", "a0")
		w.accepts(u, "f1", "jti-a0")
		g, err := w.rotate("a0", "a1")
		w.ok(err)
		if g.SessionID != "f1" {
			w.t.Errorf("continues as %q", g.SessionID)
		}
		if !b.rotate(u, "f1", "a1", "a2") {
			w.t.Error("the previous release cannot continue")
		}
		w.accepts(u, "f1", "jti-a2")
		if _, err = w.rotate("a1", "never"); !errors.Is(err, store.ErrReuse) {
			w.t.Errorf("a token used there: %v", err)
		}

		w.login(u, "b0") // here, continued and ended there
		if !b.rotate(u, "family-b0", "b0", "b1") {
			w.t.Error("the previous release cannot continue what began here")
		}
		w.accepts(u, "family-b0", "jti-b1")
		b.logout(u, "family-b0")
		w.refuses(u, "family-b0", "jti-b1")
		w.ended("b1")

		b.login(u, "f3", "c0") // there, ended here
		w.ok(w.s.EndSession(w.t.Context(), act(u), "f3"))
		w.refuses(u, "f3", "jti-c0")
		if b.rotate(u, "f3", "c0", "never") {
			w.t.Error("the previous release rotates what ended here")
		}
		if got := query("SELECT end_reason FROM sessions WHERE id = 'f3'"); got[0] != "logout" {
			w.t.Errorf("the previous release reads %q", got[0])
		}
	})
}

// What a registered client holds works at the door of the clients only; a process of the
// release before, whose only door is the other one, neither uses nor ends it.
func TestAProcessWithoutTheProviderLeavesTokensOfClientsAlone(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		b := withoutProvider{before{w}}
		u := b.register("u")
		g := w.login(u, "own")
		w.ok(w.s.StartFamily(w.t.Context(), w.user(u.ID), g.SessionID, store.NewFamily{
			ID: "held", ClientID: "app", Granted: store.Granted{Scope: "openid"}, ExpiresAt: w.clock.Now().Add(month), First: w.next("h0"),
		}))
		if b.rotate(u, "held", "h0", "never") {
			w.t.Error("the previous release rotates the token of a client")
		}
		if got := query("SELECT COALESCE(used_at, '') FROM refresh_tokens WHERE token_hash = 'h0'"); got[0] != "" {
			w.t.Error("the token of the client is marked used")
		}
		b.logout(u, g.SessionID) // ends what the session started, as here
		if got := query("SELECT COALESCE(end_reason, '') FROM refresh_families WHERE id = 'held'"); got[0] != "logout" {
			w.t.Errorf("the client keeps its tokens after the logout: %q", got[0])
		}
	})
}
