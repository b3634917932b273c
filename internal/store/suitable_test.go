package store_test

import (
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/store/transfer"
)

// refused requires that a start and both checks refuse the database with all texts.
func refused(t *testing.T, address string, texts ...string) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{URL: address, Wait: time.Hour})
	if err == nil {
		_ = s.Close()
		t.Fatal("it was opened")
	}
	if fault.KindOf(err) == fault.Internal {
		t.Errorf("no fault for the operator: %v", err)
	}
	plan, checked := transfer.Check(t.Context(), store.Config{URL: address})
	if checked != nil || plan.OK() {
		t.Errorf("check: %+v, %v", plan, checked)
	}
	_, _, looked := transfer.Superadmins(t.Context(), store.Config{URL: address}, nil)
	if looked == nil || fault.KindOf(looked) != fault.KindOf(err) {
		t.Fatalf("check of the configuration: %v", looked)
	}
	for _, text := range texts {
		if !strings.Contains(looked.Error(), text) {
			t.Errorf("%q is not in the check of the configuration: %v", text, looked)
		}
		if found := strings.Join(plan.Problems, "\n"); !strings.Contains(err.Error(), text) || !strings.Contains(found, text) {
			t.Errorf("%q is not in both:\nstart: %v\ncheck: %s", text, err, found)
		}
	}
}

// as is the address with another user and other parameters.
func as(t *testing.T, address, user string, params ...string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	if user != "" {
		query.Del("user")
		u.User = url.UserPassword(user, user)
	}
	for i := 0; i < len(params); i += 2 {
		query.Set(params[i], params[i+1])
	}
	u.RawQuery = query.Encode()
	return u.String()
}

func TestASchemaThatDoesNotExistIsRefusedByName(t *testing.T) {
	address := storetest.EmptyPostgres(t)
	for path, missing := range map[string]string{
		"nosuch": `"nosuch"`, "nosuch, public": `"nosuch"`, `"$user", "No ""Such", public`: `"No \"Such"`,
	} {
		refused(t, as(t, address, "", "search_path", path), "the schema "+missing+" of search_path does not exist")
	}
	refused(t, as(t, address, "", "search_path", `"$user"`), "names no schema")
	storetest.Exec(t, address, `CREATE SCHEMA auth; CREATE SCHEMA "Auth"`)
	for _, path := range []string{"auth", `"$user", AUTH, nosuch`, `"Auth",public`} {
		storetest.OpenURL(t, as(t, address, "", "search_path", path))
	}
	if n := storetest.Rows(t, address, "SELECT COUNT(*) FROM pg_tables WHERE tablename = 'users' AND schemaname = 'public'"); n[0][0] != "0" {
		t.Error("the tables were made in another schema")
	}
}

func TestADatabaseThatIsNotUTF8IsRefusedByName(t *testing.T) {
	refused(t, storetest.EmptyPostgresWith(t, "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"), "the encoding LATIN1; it must be UTF8")
}

func TestARoleWithAnotherEncodingOfItsOwnStoresUTF8(t *testing.T) {
	address := storetest.EmptyPostgres(t)
	role := storetest.Role(t, address)
	storetest.Exec(t, address, "GRANT CREATE ON SCHEMA public TO "+role+"; ALTER ROLE "+role+" SET client_encoding = 'LATIN1'")
	s := storetest.OpenURL(t, as(t, address, role))
	if err := s.InsertEvent(t.Context(), store.Event{Action: "x", Outcome: store.OutcomeSuccess, Detail: "ä ω"}); err != nil {
		t.Fatal(err)
	}
	if got := storetest.Rows(t, address, "SELECT detail FROM audit_events"); got[0][0] != "ä ω" {
		t.Errorf("%q", got)
	}
}

func TestARoleWithoutRightsIsRefusedByName(t *testing.T) {
	address := storetest.EmptyPostgres(t)
	role := storetest.Role(t, address)
	own := as(t, address, role)
	refused(t, own, "the role \""+role+"\" may not create tables in the schema \"public\"", "GRANT CREATE ON SCHEMA public TO "+role)
	storetest.Exec(t, address, "CREATE SCHEMA auth")
	refused(t, as(t, address, role, "search_path", "auth"), "may not use the schema \"auth\" of search_path")

	storetest.OpenURL(t, address) // migrated by the owner
	refused(t, own, "lacks the rights SELECT, INSERT, UPDATE, DELETE on the tables ", "audit_events, ")
	storetest.Exec(t, address, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO "+role)
	storetest.OpenURL(t, own) // needs no right to create
	if plan, err := transfer.Check(t.Context(), store.Config{URL: own}); err != nil || !plan.OK() || plan.State != "current" {
		t.Errorf("%+v, %v", plan, err)
	}
	storetest.Exec(t, address, "REVOKE UPDATE ON settings, users FROM "+role)
	refused(t, own, "lacks the rights UPDATE on the tables settings, users in the schema \"public\"; run GRANT UPDATE ON")
}

// As while the address of the database leads to a standby.
func TestADatabaseThatTakesNoWritesIsWaitedFor(t *testing.T) {
	for name, migrated := range map[string]bool{"empty": false, "migrated": true} {
		t.Run(name, func(t *testing.T) {
			address := storetest.EmptyPostgres(t)
			role := storetest.Role(t, address)
			storetest.Exec(t, address, "GRANT CREATE ON SCHEMA public TO "+role)
			own := as(t, address, role)
			if migrated {
				storetest.OpenURL(t, own)
			}
			storetest.Exec(t, address, "ALTER ROLE "+role+" SET default_transaction_read_only = on")
			_, err := store.Open(t.Context(), store.Config{URL: own})
			_, checked := transfer.Check(t.Context(), store.Config{URL: own})
			for _, err := range []error{err, checked} {
				if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "takes no writes") {
					t.Errorf("%v", err)
				}
			}
			if migrated {
				s, err := store.OpenReading(t.Context(), store.Config{URL: own})
				if err != nil {
					t.Fatalf("a command that only reads: %v", err)
				}
				_ = s.Close()
			}
			waits := sync.OnceFunc(func() { storetest.Exec(t, address, "ALTER ROLE "+role+" RESET default_transaction_read_only") })
			storetest.OpenURL(t, own, func(cfg *store.Config) { cfg.Wait, cfg.Delayed = time.Minute, waits })
		})
	}
}

func TestARoleThatMayNotConnectIsRefusedByName(t *testing.T) {
	address := storetest.EmptyPostgres(t)
	role := storetest.Role(t, address)
	storetest.Exec(t, address, "DO $$ BEGIN EXECUTE 'REVOKE CONNECT ON DATABASE ' || current_database() || ' FROM PUBLIC'; END $$")
	_, err := store.Open(t.Context(), store.Config{URL: as(t, address, role)})
	_, checked := transfer.Check(t.Context(), store.Config{URL: as(t, address, role)})
	for _, err := range []error{err, checked} {
		if fault.KindOf(err) != fault.Forbidden || !strings.Contains(err.Error(), "does not let this user connect to the database") {
			t.Errorf("%v", err)
		}
	}
}

func TestARoleThatDoesNotOwnTheTablesCannotMigrateThem(t *testing.T) {
	address := storetest.EmptyPostgres(t)
	storetest.Exec(t, address, versionOne(t)+goosePostgres)
	role := storetest.Role(t, address)
	storetest.Exec(t, address, "GRANT CREATE ON SCHEMA public TO "+role+"; GRANT ALL ON ALL TABLES IN SCHEMA public TO "+role)
	refused(t, as(t, address, role), "does not own the tables ", "goose_db_version, group_members")
}
