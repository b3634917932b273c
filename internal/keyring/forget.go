package keyring

import (
	"context"

	"github.com/pico-auth/pico-auth/internal/store"
)

// Forgettable is what giving up a key would end, and what comes after it.
type Forgettable struct {
	KeyInfo

	There bool // its private half is to be had from here, so it is not lost

	// Again is the file from which the next start would take an active key up
	// again; empty: there is none, or another key comes first.
	Again string
	// Successor is the next key that the next start lets sign in the place of an
	// active one; empty: there is none.
	Successor string
	// SuccessorProblem says why the private half of Successor is not to be had
	// from here either; empty: it is.
	SuccessorProblem string
}

// Forgettable looks at a key that is to be given up; NotFound when there is none
// of that id. It changes nothing.
func (d *Desk) Forgettable(ctx context.Context, kid string) (f Forgettable, err error) {
	o := *d.o
	o.looking, o.folder.readOnly = true, true
	set, _, err := o.recorded(ctx)
	if err != nil {
		return f, err
	}
	row, err := known(set, kid)
	if err != nil {
		return f, err
	}
	if f.KeyInfo, err = o.info(row); err != nil {
		f.Problem = problem(err)
	} else if row.Status != store.KeyRemoved {
		secret, err := o.secret(row)
		f.There, f.Problem = err == nil, problem(err)
		if files, err := filesOf(f.Algorithm); err == nil && f.There && files == o.files && secret.name == files.private {
			f.Again = o.folder.join(secret.name)
		}
	}
	if row.Status != store.KeyActive {
		f.Again = ""
		return f, nil
	}
	if next := set.Next(); next != nil {
		_, err := o.private(*next)
		f.Again, f.Successor, f.SuccessorProblem = "", next.KID, problem(err)
	}
	return f, nil
}
