package store_test

import (
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Whatever ends what a client may hold of a user, at the same time as the user gets codes
// and the client exchanges them: nothing is left that was granted before, no transaction
// holds what another one needs, and no code that was issued before is worth anything.
func TestWhatEndsAGrantHoldsAgainstConcurrentOnes(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		ctx := w.t.Context()
		suspended := identity.Suspended
		type subject struct {
			user            identity.User
			session, client string
		}
		for name, end := range map[string]func(of subject) error{
			"user": func(of subject) error {
				_, err := w.s.SetStatus(ctx, system("x"), of.user.ID, identity.Suspended)
				return err
			},
			"organization": func(of subject) error {
				_, err := w.s.UpdateOrganization(ctx, system("x"), of.user.OrgID, nil, &suspended)
				return err
			},
			"client": func(of subject) error {
				_, err := w.s.UpdateClient(ctx, system("x"), of.client, store.ClientChange{Status: identity.Suspended}, anyActor)
				return err
			},
			"client revocation": func(of subject) error {
				return w.s.RevokeClientTokens(ctx, system("x"), of.client, anyActor)
			},
			"client deletion": func(of subject) error { return w.s.DeleteClient(ctx, system("x"), of.client, anyActor) },
			"session":         func(of subject) error { return w.s.EndSession(ctx, act(of.user), of.session) },
			"sessions":        func(of subject) error { _, err := w.s.EndUserSessions(ctx, system("x"), of.user.ID); return err },
			"password":        func(of subject) error { return w.s.ResetPassword(ctx, system("x"), of.user.ID, "other") },
			"role": func(of subject) error {
				_, err := w.s.SetRole(ctx, system("x"), of.user.ID, identity.Operator)
				return err
			},
			"deletion": func(of subject) error { return w.s.DeleteUser(ctx, system("x"), of.user.ID) },
		} {
			for round := range 3 {
				id := name + itoa(round)
				of := subject{user: w.add(id, identity.Viewer, "org-"+id), client: "app-" + id}
				c := appClient(of.client)
				c.OrgID = of.user.OrgID
				_, err := w.s.InsertClient(ctx, system("seed"), c, "", anyActor)
				w.ok(err)
				of.session = w.browse(of.user, id, false).Session.ID
				code := func(i int) error {
					hash := id + "-" + itoa(i)
					_, err := w.s.IssueCodeAtOnce(ctx, store.Act{Action: "code"}, request("r-"+hash, of.client, "n", ""), of.session,
						store.NewCode{Hash: hash, ExpiresAt: w.clock.Now().Add(2 * time.Minute), Ready: anyone})
					return err
				}
				for i := range 5 {
					w.ok(code(i))
				}
				_, err = w.use(of.client, id+"-4", "first of "+id)
				w.ok(err)
				w.clock.Advance(time.Minute) // a use of the session is written again
				before := w.s.Stats().Retries
				errs := race(10, func(i int) error {
					switch {
					case i == 4:
						return end(of)
					case i == 5:
						_, err := w.s.RotateRefresh(ctx, identity.Actor{}, store.PresentedRefresh{
							ClientID: of.client, Hashes: []string{"first of " + id}, Admit: func(store.Subject) error { return nil },
						}, w.next("second of "+id))
						return err
					case i < 4:
						_, err := w.use(of.client, id+"-"+itoa(i), "t"+id+itoa(i))
						return err
					default:
						return code(i)
					}
				})
				w.ok(errs[4])
				if left := query("SELECT f.id FROM refresh_families f WHERE f.ended_at IS NULL AND f.client_id = '" + of.client + "'"); len(left) != 0 {
					w.t.Errorf("%s: %d families are left: %v", id, len(left), errs)
				}
				codes := 10
				if name == "client revocation" {
					codes = 5 // the others may have been issued after it
				}
				for i := range codes {
					if _, err := w.use(of.client, id+"-"+itoa(i), "late"+id+itoa(i)); err == nil {
						w.t.Errorf("%s: code %d is good afterwards", id, i)
					}
				}
				repeated := w.s.Stats().Retries - before
				if repeated != 0 {
					w.t.Errorf("%s: %d transactions were repeated", id, repeated)
				}
			}
		}
	})
}
