package throttle

// flightKey names a row of the store.
type flightKey struct{ account, network string }

// flight is the attempts of this process on one row of the store. It exists while
// there are any.
type flight struct {
	signal
	key     flightKey
	holders int    // attempts
	pending int    // of these, those admitted and not decided
	waiting int    // and those that wait for them
	version uint64 // counts the changes of the row
}

// hold returns the flight of a row. The caller has the lock, and releases it.
func (t *Throttle) hold(account, network string) *flight {
	key := flightKey{account, network}
	f := t.flights[key]
	if f == nil {
		f = &flight{key: key}
		t.flights[key] = f
	}
	f.holders++
	return f
}

func (t *Throttle) release(f *flight) {
	if f.holders--; f.holders == 0 {
		delete(t.flights, f.key)
	}
}

// signal wakes those that wait for the next decision. The zero signal is ready.
type signal struct{ decided chan struct{} }

func (s *signal) next() <-chan struct{} {
	if s.decided == nil {
		s.decided = make(chan struct{})
	}
	return s.decided
}

func (s *signal) wake() {
	if s.decided != nil {
		close(s.decided)
		s.decided = nil
	}
}
