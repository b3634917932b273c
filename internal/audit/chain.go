package audit

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/seal"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Labels of the keys that HKDF derives from the master key.
const (
	linkLabel   = "pico-auth/audit/link/v1"
	headLabel   = "pico-auth/audit/head/v1"
	anchorLabel = "pico-auth/audit/anchor/v1"
	faultyLabel = "pico-auth/audit/anchor-faulty/v1" // of an anchor after events that did not match
	digestLabel = "pico-auth/audit/digest/v1"
)

const (
	// linkBatch limits how long one transaction holds the writer of SQLite.
	linkBatch = 200

	// verifyPage is how many events are in memory while the chain is verified.
	verifyPage = 1000
)

// Chain links the events of the audit log, so that a row that was changed, removed
// or added in the database is noticed. A link is a MAC under a key that is derived
// from the master key; it covers the place and the columns of its row and the link
// before it. The head, which is the place and the link of the last event, and the
// anchor, the same of the last event that was purged, are signed apart: one that was
// seen cannot be made from another.
//
// An event is not protected until it is linked. Only the holder of the lease links,
// and the store excludes a second one.
type Chain struct {
	store  *store.Store
	master *seal.Master
	log    *slog.Logger

	unlogged string // the head that the log lacks; empty: none
}

// NewChain returns the chain under the master key. Without one it links nothing, and
// purges only what was not linked. A nil log discards the records.
func NewChain(s *store.Store, master *seal.Master, log *slog.Logger) *Chain {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Chain{store: s, master: master, log: log}
}

// place is an event's place in the chain. The zero place is before the first event.
type place struct {
	seq  int64
	link string
}

// sign returns the text of a head or an anchor.
func (c *Chain) sign(label string, p place) string {
	return strconv.FormatInt(p.seq, 10) + ":" + p.link + ":" + c.master.MAC(label, strconv.FormatInt(p.seq, 10), p.link)
}

// parse returns the place of a signed text, seal.ErrOtherKey or seal.ErrDamaged. An
// empty text is the zero place.
func (c *Chain) parse(label, text string) (place, error) {
	if text == "" {
		return place{}, nil
	}
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return place{}, seal.ErrDamaged
	}
	seq, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil || seq < 1 {
		return place{}, seal.ErrDamaged
	}
	return place{seq, parts[1]}, c.master.Verify(parts[2], label, parts[0], parts[1])
}

// parts are what the link of an event covers.
func parts(before place, ev store.ChainEvent) []string {
	return append([]string{strconv.FormatInt(before.seq+1, 10), before.link}, ev.Columns...)
}

// Link links a batch of the events that wait for it; more reports that others wait.
// The last head of a run is logged, for a copy out of the reach of who can write to
// the database.
func (c *Chain) Link(ctx context.Context) (more bool, err error) {
	if c.master == nil {
		return false, nil
	}
	var head string
	n, err := c.store.LinkEvents(ctx, linkBatch, func(present string, events []store.ChainEvent) (string, error) {
		at, err := c.parse(headLabel, present)
		if err != nil {
			return "", chainFault("head", err)
		}
		for i := range events {
			at = place{at.seq + 1, c.master.MAC(linkLabel, parts(at, events[i])...)}
			events[i].Seq, events[i].Link = at.seq, at.link
		}
		head = c.sign(headLabel, at)
		return head, nil
	})
	if err != nil {
		return false, fmt.Errorf("link audit events: %w", err)
	}
	if n > 0 {
		c.unlogged = head
	}
	if more = n == linkBatch; !more && c.unlogged != "" {
		c.log.LogAttrs(ctx, slog.LevelInfo, "audit events linked", slog.String("head", c.unlogged))
		c.unlogged = ""
	}
	return more, nil
}

// chainFault explains why the chain cannot be continued.
func chainFault(what string, err error) error {
	if errors.Is(err, seal.ErrOtherKey) {
		return fault.Wrap(fault.Invalid, "audit_chain", "the "+what+" of the audit chain is signed under another master key; "+
			"restore auth.master_key or the file master.key, or set auth.former_master_key to the previous one", err)
	}
	return fault.Wrap(fault.Invalid, "audit_chain", "the "+what+" of the audit chain was not written by this server; run `pico-auth audit verify`", err)
}

// parseAnchor is parse for an anchor; faulty says that some of the purged events did
// not match.
func (c *Chain) parseAnchor(text string) (at place, faulty bool, err error) {
	if at, err = c.parse(anchorLabel, text); errors.Is(err, seal.ErrDamaged) {
		if other, otherErr := c.parse(faultyLabel, text); otherErr == nil {
			return other, true, nil
		}
	}
	return at, false, err
}

// Purge deletes a batch of the events from before the time and leaves a signed
// anchor; more reports that there are others. Events go however they look, since
// retention is a duty. What does not match is logged, and the anchor says so until a
// restart: otherwise an event would be hidden by a change of its time.
func (c *Chain) Purge(ctx context.Context, before time.Time) (more bool, err error) {
	var broken error
	n, err := c.store.PurgeEvents(ctx, before, linkBatch, func(present string, events []store.ChainEvent) (string, error) {
		if c.master == nil {
			return "", errNoMaster
		}
		at, faulty, err := c.parseAnchor(present)
		if broken = nil; err != nil && !errors.Is(err, seal.ErrOtherKey) {
			broken, at = fmt.Errorf("the anchor: %w", err), place{seq: events[0].Seq - 1}
		}
		for _, ev := range events {
			if err := c.check(at, ev); err != nil && broken == nil && !errors.Is(err, seal.ErrOtherKey) {
				broken = fmt.Errorf("event %d (%s): %w", ev.Seq, ev.ID(), err)
			}
			at = place{ev.Seq, ev.Link}
		}
		label := anchorLabel
		if faulty || broken != nil {
			label = faultyLabel
		}
		return c.sign(label, at), nil
	})
	if err != nil {
		return false, fmt.Errorf("purge audit events: %w", err)
	}
	if broken != nil {
		c.log.ErrorContext(ctx, "audit chain broken before its purge", "error", broken)
	}
	return n > 0, nil
}

// Restart begins a new chain with all events of the table. It is for an operator who
// has examined what broke the present one, or has lost its master key.
func (c *Chain) Restart(ctx context.Context, by identity.Actor) error {
	if err := c.store.RestartChain(ctx, store.Act{Action: identity.ActionRestartAudit, By: by}); err != nil {
		return fmt.Errorf("restart the audit chain: %w", err)
	}
	return nil
}

// errNoMaster keeps linked events without a master key: no anchor could be signed.
var errNoMaster = errors.New("linked audit events stay: the master key is unavailable")

// errPlace is the error of an event that does not follow the one before it.
var errPlace = errors.New("it does not follow the event before it")

// check returns nil when the event follows the place and its link is right.
func (c *Chain) check(before place, ev store.ChainEvent) error {
	if ev.Seq != before.seq+1 {
		return errPlace
	}
	return c.master.Verify(ev.Link, linkLabel, parts(before, ev)...)
}

// Digest is what the log has instead of the address of a refused login: the same for
// every spelling that signs in to one account, on every replica.
func Digest(master *seal.Master, email string) string {
	if identity.Storable(email) { // a text that is no address may be long, and its key costs much
		email = identity.EmailKey(email)
	}
	mac := master.MAC(digestLabel, email)
	sum, err := base64.RawURLEncoding.DecodeString(mac[strings.LastIndexByte(mac, '.')+1:])
	if err != nil {
		panic(err) // seal encodes it so
	}
	return hex.EncodeToString(sum[:digestLength])
}

// digestLength is in bytes: two of a million addresses rarely have one digest.
const digestLength = 6
