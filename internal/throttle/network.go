package throttle

import "time"

// maxTallies limits the networks that are remembered. An entry takes about 300
// bytes.
const maxTallies = 10_000

// noticeEvery is how often the audit log is told that the limit of one network
// began.
const noticeEvery = time.Hour

// rate is at most limit in any time of length per.
type rate struct {
	limit int
	per   time.Duration
}

// networks counts by network, user or client, by several rates.
type networks struct {
	rates []rate
	all   map[string]*tally
}

func newNetworks(rates ...rate) *networks {
	return &networks{rates: rates, all: map[string]*tally{}}
}

// tally is the count of one of them.
type tally struct {
	signal
	rates    []rate
	windows  []window
	pending  int // attempts that are not decided
	counted  time.Time
	noticed  time.Time
	lastUsed time.Time
}

// of returns the tally of a network. When there are too many, the least of some
// others is forgotten: an attacker who has that many networks needs no second try
// from one of them.
func (n *networks) of(name string, now time.Time) *tally {
	one := n.all[name]
	if one == nil {
		if len(n.all) >= maxTallies {
			n.forgetOne(now)
		}
		one = &tally{rates: n.rates, windows: make([]window, len(n.rates))}
		n.all[name] = one
	}
	one.lastUsed = now
	return one
}

// forgetOne deletes, of a few tallies, the one with the lowest count in the longest
// time.
func (n *networks) forgetOne(now time.Time) {
	const few = 16
	victim, least, seen := "", 0, 0
	for name, one := range n.all { // in random order
		if one.pending > 0 {
			continue
		}
		last := len(n.rates) - 1
		sum := one.windows[last].sum(now, n.rates[last].per)
		if seen == 0 || sum < least || sum == least && one.lastUsed.Before(n.all[victim].lastUsed) {
			victim, least = name, sum
		}
		if seen++; seen == few {
			break
		}
	}
	delete(n.all, victim)
}

// full returns the rate at which the tally is full, and for how long; nil: at none.
// pending are attempts that may count.
func (o *tally) full(now time.Time, pending, factor int) (full *rate, wait time.Duration) {
	for i, r := range o.rates {
		if w := o.windows[i].wait(now, r.per, r.limit*factor-pending); w > wait {
			full, wait = &o.rates[i], w
		}
	}
	return full, wait
}

// reaches reports whether the tally has as many as one of other rates of the same times.
func (o *tally) reaches(now time.Time, rates []rate) bool {
	for i, r := range rates {
		if o.windows[i].sum(now, r.per) >= r.limit {
			return true
		}
	}
	return false
}

// rest is how long a tally that is full waits, if one act in each such time is let through
// all the same: what a user does honestly must not stop them for a day.
func (o *tally) rest(now time.Time, wait, each time.Duration) time.Duration {
	return max(0, min(wait, o.counted.Add(each).Sub(now)))
}

func (o *tally) count(now time.Time) {
	o.counted = now
	for i, r := range o.rates {
		o.windows[i].add(now, r.per)
	}
}

// takeBack forgets an act that was counted just now.
func (o *tally) takeBack(now time.Time) {
	for i, r := range o.rates {
		o.windows[i].takeBack(now, r.per)
	}
}

// begins reports whether the audit log is told now that the limit began.
func (o *tally) begins(now time.Time) bool {
	if !o.noticed.IsZero() && now.Sub(o.noticed) < noticeEvery {
		return false
	}
	o.noticed = now
	return true
}

// slots is how many parts of its time a window counts apart. One more is the current
// part, so that a window never covers less than its time.
const slots = 12

// window counts events in the last parts of a time.
type window struct {
	head   int64 // number of the newest slot
	counts [slots + 1]uint32
}

// advance forgets the slots that have left the window.
func (w *window) advance(now time.Time, per time.Duration) {
	head := now.UnixNano() / int64(per/slots)
	if head-w.head > slots {
		w.counts = [slots + 1]uint32{}
		w.head = head
	}
	for w.head < head {
		w.head++
		w.counts[w.head%(slots+1)] = 0
	}
}

func (w *window) add(now time.Time, per time.Duration) {
	w.advance(now, per)
	w.counts[w.head%(slots+1)]++
}

// takeBack forgets one event of the current part; one of an earlier part stays.
func (w *window) takeBack(now time.Time, per time.Duration) {
	w.advance(now, per)
	if n := &w.counts[w.head%(slots+1)]; *n > 0 {
		*n--
	}
}

func (w *window) sum(now time.Time, per time.Duration) (n int) {
	w.advance(now, per)
	for _, c := range w.counts {
		n += int(c)
	}
	return n
}

// wait returns the time until the sum is below limit; zero: it is.
func (w *window) wait(now time.Time, per time.Duration, limit int) time.Duration {
	n := w.sum(now, per)
	if n < limit {
		return 0
	}
	slot := per / slots
	for i := w.head - slots; i <= w.head; i++ {
		n -= int(w.counts[i%(slots+1)])
		if n < max(limit, 1) {
			return time.Duration((i+slots+1)*int64(slot) - now.UnixNano())
		}
	}
	return per
}
