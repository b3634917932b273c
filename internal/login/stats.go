package login

import "sync/atomic"

type counts struct {
	succeeded, unknown, wrong, suspended, published, throttled, failed atomic.Uint64
}

// of returns the counter of an outcome.
func (c *counts) of(o outcome) *atomic.Uint64 {
	switch o {
	case unknownUser:
		return &c.unknown
	case wrongPassword:
		return &c.wrong
	case suspendedUser:
		return &c.suspended
	case publishedPassword:
		return &c.published
	default:
		return &c.succeeded
	}
}

// Stats counts password logins since the start, by outcome.
type Stats struct {
	Succeeded     uint64 // authenticated and allowed to sign in
	UnknownUser   uint64 // no user has that e-mail address
	WrongPassword uint64
	Suspended     uint64 // right password; the user or their organization is suspended
	Published     uint64 // right, but the published default password on an exposed server
	Throttled     uint64 // refused: too many failed or concurrent logins
	Failed        uint64 // failures of the server, such as an unavailable database
}

// Stats returns the counts so far.
func (l *Login) Stats() Stats {
	return Stats{
		Succeeded: l.counts.succeeded.Load(), UnknownUser: l.counts.unknown.Load(),
		WrongPassword: l.counts.wrong.Load(), Suspended: l.counts.suspended.Load(),
		Published: l.counts.published.Load(), Throttled: l.counts.throttled.Load(), Failed: l.counts.failed.Load(),
	}
}
