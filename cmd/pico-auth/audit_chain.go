package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pico-auth/pico-auth/internal/audit"
	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/datadir"
	"github.com/pico-auth/pico-auth/internal/seal"
	"github.com/pico-auth/pico-auth/internal/server"
	"github.com/pico-auth/pico-auth/internal/store"
)

type auditVerifyCmd struct {
	Head *string `placeholder:"HEAD" help:"A head that was copied from the log: the events of that time must still be there."`
	JSON bool    `help:"Print JSON."`
}

// Help is the end of `pico-auth audit verify --help`.
func (auditVerifyCmd) Help() string {
	return `Every event is linked to the one before it under a key that is derived from the master key. The command names the first event that was changed,
events that are missing, and a head or an anchor that does not match; the exit code is 1 then. The server may be running.

Who can write to the database can put back an older state of all of it. Only a head that was copied elsewhere shows that: the server logs each
one as "audit events linked".

Examples:

    pico-auth audit verify
    pico-auth audit verify --json --head "$(journalctl -u pico-auth -o cat | jq -rR 'fromjson? | select(.msg == "audit events linked").head' | tail -1)"`
}

// Run verifies the chain.
func (c auditVerifyCmd) Run(sh *shell) error {
	head := ""
	if c.Head != nil {
		if head = strings.TrimSpace(*c.Head); head == "" { // such as from a log that was rotated
			return usage("--head is empty: give a head from the log, or leave it out to verify without one")
		}
	}
	return sh.chain(store.OpenReading, sh.master, func(ctx context.Context, chain *audit.Chain) error {
		report, err := chain.Verify(ctx, head)
		if err != nil {
			return err
		}
		if c.JSON {
			err = sh.json(report)
		} else {
			err = sh.say("%s", verdict(report))
		}
		if err == nil && !report.OK {
			err = errors.New("the audit log is not intact")
		}
		return err
	})
}

// verdict is the report for a reader.
func verdict(r audit.Report) string {
	var b strings.Builder
	for _, p := range r.Problems {
		switch {
		case p.At != "":
			fmt.Fprintf(&b, "event %d (%s, %s): ", p.Seq, printable(p.EventID), printable(p.At))
		case p.EventID != "":
			fmt.Fprintf(&b, "event %s: ", printable(p.EventID))
		}
		fmt.Fprintln(&b, p.Message)
	}
	if more := r.Broken - int64(len(r.Problems)); more > 0 {
		fmt.Fprintf(&b, "and more: %d events in all do not match\n", r.Broken)
	}
	if r.First == 0 {
		fmt.Fprintln(&b, "no event is linked")
	} else {
		fmt.Fprintf(&b, "%d of the events %d to %d are linked and unchanged\n", r.Verified, r.First, r.Last)
	}
	if r.Former > 0 {
		fmt.Fprintf(&b, "%d events at the beginning are linked under another master key; set auth.former_master_key to verify them\n", r.Former)
	}
	if r.Purged > 0 {
		fmt.Fprintf(&b, "events up to %d were removed by retention\n", r.Purged)
	}
	if r.Unlinked > 0 {
		fmt.Fprintf(&b, "%d newer events are not linked yet; a running server links them within ten seconds\n", r.Unlinked)
	}
	if r.Head != "" {
		fmt.Fprintf(&b, "head: %s\n", printable(r.Head))
	}
	return b.String()
}

type auditRestartCmd struct {
	Yes bool `help:"Do not ask for confirmation."`
}

// Help is the end of `pico-auth audit restart --help`.
func (auditRestartCmd) Help() string {
	return `When "audit verify" has found a fault, or the master key is lost, no event is linked any more or the fault is reported for ever. When you know the
cause, and have a copy of the database, begin a new chain: it has all events that are in the table now, as they are now, and this act as an event.

Example:

    pico-auth backup evidence.db && pico-auth audit restart`
}

// Run begins a new chain, for which the key of the present one may be lost.
func (c auditRestartCmd) Run(sh *shell) error {
	keyless := func(config.Config) (*seal.Master, error) { return nil, nil }
	return sh.chain(store.Open, keyless, func(ctx context.Context, chain *audit.Chain) error {
		if !c.Yes {
			err := sh.sure("What the present chain shows about events of the past is lost; heads in the log do not match any more.\nType yes to begin a new one: ",
				"--yes restarts without asking")
			if err != nil {
				return err
			}
		}
		if err := chain.Restart(ctx, operator()); err != nil {
			return err
		}
		return sh.say("a new chain begins: a server links the events within ten seconds; restart it where its master key was lost\n")
	})
}

type auditDigestCmd struct {
	Email string `arg:"" help:"E-mail address, in any spelling."`
}

// Help is the end of `pico-auth audit digest --help`.
func (auditDigestCmd) Help() string {
	return `A refused login is in the log with the field email_digest instead of the address, unless log.addresses is set.

Example:

    grep "$(pico-auth audit digest ada@example.com)" /var/log/pico-auth.log`
}

// Run prints the digest of an address.
func (c auditDigestCmd) Run(sh *shell) error {
	cfg, _, err := sh.config()
	if err != nil {
		return err
	}
	master, err := sh.master(cfg)
	if err != nil {
		return err
	}
	return sh.say("%s\n", audit.Digest(master, c.Email))
}

// master returns the master key, which a server has made.
func (sh *shell) master(cfg config.Config) (*seal.Master, error) {
	master, err := server.Master(cfg, sh.log())
	if err != nil {
		return nil, misconfigured(err)
	}
	if master == nil {
		return nil, usage("there is no master key: auth.master_key is not set and %s does not exist; a server makes it at its first start",
			printable(datadir.New(cfg.Auth.DataDir, sh.log()).Join(datadir.MasterFile)))
	}
	return master, nil
}

// chain runs do on the chain of the database, which the server may have open. It
// needs no signing keys, so it opens none.
func (sh *shell) chain(open opener, masterOf func(config.Config) (*seal.Master, error), do func(context.Context, *audit.Chain) error) error {
	cfg, _, err := sh.config()
	if err != nil {
		return err
	}
	if err := mustExist(cfg); err != nil {
		return err
	}
	master, err := masterOf(cfg)
	if err != nil {
		return err
	}
	db, err := open(context.Background(), server.StoreConfig(cfg, sh.log()))
	if err != nil {
		return misconfigured(err)
	}
	return errors.Join(do(context.Background(), audit.NewChain(db, master, sh.log())), db.Close())
}
