package password

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/pico-auth/pico-auth/internal/bcrypt"
	"github.com/pico-auth/pico-auth/internal/fault"
)

// wasServed fails the test if the caller waits still, or was refused.
func wasServed(t *testing.T, answer chan error, waits string) {
	t.Helper()
	select {
	case err := <-answer:
		if err != nil {
			t.Error(err)
		}
	default:
		t.Error(waits)
	}
}

// The flood has all places and sends more whenever one is free.
func TestAFloodFromOneNetworkDelaysAnotherByOneHash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers, places, victim = 2, 16, 1000
		p, g := gated(workers, 1, places)
		defer p.close()
		flood := make([]chan error, 500)
		for n := range flood {
			flood[n] = start(context.Background(), p, "flood", n)
		}
		synctest.Wait()
		var others []chan error
		for n := range 3 {
			others = append(others, start(context.Background(), p, "other", victim+n))
			synctest.Wait()
			if got := p.stats(); got.Waiting != places || got.Running != workers {
				t.Fatalf("%+v", got)
			}
		}
		for range workers {
			<-g.began
		}
		for i := range 6 { // the other network has not been served before, and is the first one
			g.open <- struct{}{} // one ends, and the next begins
			synctest.Wait()
			if n := <-g.began; n >= victim != (i%2 == 0) {
				t.Errorf("hash %d after the flood's running ones is number %d", i, n)
			}
		}
		close(g.open)
		for _, answer := range others {
			if err := <-answer; err != nil {
				t.Error(err)
			}
		}
		refused := 0
		for _, answer := range flood {
			if err := <-answer; fault.KindOf(err) == fault.Throttled {
				refused++
			} else if err != nil {
				t.Error(err)
			}
		}
		if want := len(flood) - workers - places + len(others); refused != want || p.stats().Refused != uint64(want) {
			t.Errorf("%d of the flood refused, counted %+v, want %d", refused, p.stats(), want)
		}
	})
}

// Each request of the attack comes from another network, so that each has the
// same right to a place as any unknown one.
func TestHalfOfThePlacesAreKeptForNetworksThatHaveSignedIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const places = 8
		p, g := gated(1, 1, places)
		defer p.close()
		for n := range 3 * places {
			start(context.Background(), p, fmt.Sprint("attacker ", n), n)
			synctest.Wait()
		}
		if err := try(context.Background(), p, "unknown", 1000); fault.KindOf(err) != fault.Throttled {
			t.Errorf("a network like the others took a place from them: %v", err)
		}
		var answers []chan error
		for n := range places {
			network := fmt.Sprint("office ", n)
			p.known.add(network)
			answers = append(answers, start(context.Background(), p, network, 1000+n))
			synctest.Wait()
		}
		for n, answer := range answers {
			select {
			case err := <-answer:
				if n < places/2 || fault.KindOf(err) != fault.Throttled {
					t.Errorf("known network %d of %d: %v", n, places, err)
				}
			default:
				if n >= places/2 {
					t.Errorf("known network %d of %d has a place of the others", n, places)
				}
			}
		}
		<-g.began
		for i := range places {
			g.open <- struct{}{}
			synctest.Wait()
			if n := <-g.began; n >= 1000 != (i%2 == 0) {
				t.Errorf("hash %d is number %d", i, n)
			}
		}
		close(g.open)
		synctest.Wait()
	})
}

func TestAKnownNetworkKeepsNoPlaceFromAnUnknownOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, g := gated(1, 1, 4)
		defer p.close()
		p.known.add("office")
		for n := range 20 {
			start(context.Background(), p, "office", n)
		}
		synctest.Wait()
		unknown := start(context.Background(), p, "unknown", 1000)
		synctest.Wait()
		g.open <- struct{}{}
		synctest.Wait()
		if first, second := <-g.began, <-g.began; first >= 1000 || second != 1000 {
			t.Errorf("began %d, %d", first, second)
		}
		close(g.open)
		if err := <-unknown; err != nil {
			t.Error(err)
		}
		synctest.Wait()
	})
}

// Hashes of different networks are computed side by side.
func TestAFloodLeavesAnotherNetworkALane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, g := gated(1, bcrypt.MaxLanes, 20)
		defer p.close()
		for n := range 10 {
			start(context.Background(), p, "flood", n)
		}
		synctest.Wait()
		other := start(context.Background(), p, "other", 1000)
		synctest.Wait()
		for range 3 { // the hash that began alone, four of the flood, and three with the other
			g.open <- struct{}{}
			synctest.Wait()
		}
		wasServed(t, other, "the other network waits for a second round of the flood")
		close(g.open)
		synctest.Wait()
	})
}

// TestQueueIsFair lets jobs of several networks come, leave and be served in any
// order: while a job is the first of its line, each other network of its class is
// served at most once, and the other class at most once more than its own. The
// bound holds, and a new job displaces none of a network with fewer, nor one of a network
// with as many that was not served more.
func TestQueueIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := &queue{}
		m := model{lines: map[string][]*job{}, served: map[string][]string{}, had: map[string]int{}}
		places := rapid.IntRange(1, 12).Draw(t, "places")
		t.Repeat(map[string]func(*rapid.T){
			"come": func(t *rapid.T) {
				network := rapid.SampledFrom([]string{"a", "b", "c", "D", "E", "F"}).Draw(t, "network")
				m.come(t, q, network, places)
			},
			"leave": func(t *rapid.T) {
				if all := m.all(); len(all) > 0 {
					m.drop(t, q, rapid.SampledFrom(all).Draw(t, "job"))
				}
			},
			"serve": func(t *rapid.T) { m.serve(t, q) },
			"": func(t *rapid.T) {
				if q.len() != len(m.all()) || q.len() > places {
					t.Fatalf("%d wait, the model has %d, of %d places", q.len(), len(m.all()), places)
				}
			},
		})
	})
}

// model is the jobs of each network, and which networks were served since the first
// of them became the first. Upper case is known.
type model struct {
	lines  map[string][]*job
	served map[string][]string
	had    map[string]int // how often each was served
}

func known(network string) bool { return network < "a" }

func (m *model) all() (jobs []*job) {
	for _, network := range []string{"a", "b", "c", "D", "E", "F"} {
		jobs = append(jobs, m.lines[network]...)
	}
	return jobs
}

func (m *model) come(t *rapid.T, q *queue, network string, places int) {
	if q.len() == places {
		j := q.displaced(network, known(network))
		if j == nil {
			return
		}
		from := j.line.site
		more := len(m.lines[from]) - len(m.lines[network]) - 1
		if more == 0 && m.had[from] > m.had[network] && known(network) == known(from) {
			more = 1
		}
		if more <= 0 && (!known(network) || known(from)) {
			t.Fatalf("%s with %d took a place of %s with %d", network, len(m.lines[network]), from, len(m.lines[from]))
		}
		m.drop(t, q, j)
	}
	j := &job{}
	q.push(j, network, known(network))
	if m.lines[network] = append(m.lines[network], j); len(m.lines[network]) == 1 {
		m.served[network] = nil
	}
}

func (m *model) drop(t *rapid.T, q *queue, j *job) {
	network := j.line.site
	if m.lines[network][0] == j {
		m.served[network] = nil
	}
	if !q.remove(j) || q.remove(j) {
		t.Fatal("it was not in the queue exactly once")
	}
	kept := m.lines[network][:0:0]
	for _, other := range m.lines[network] {
		if other != j {
			kept = append(kept, other)
		}
	}
	m.lines[network] = kept
}

func (m *model) serve(t *rapid.T, q *queue) {
	next := q.next()
	if j := q.pop(); j != next || (j == nil) != (len(m.all()) == 0) {
		t.Fatalf("popped %p, next %p", j, next)
	}
	if next == nil {
		return
	}
	var network string
	for n, jobs := range m.lines {
		if len(jobs) > 0 && jobs[0] == next {
			network = n
		}
	}
	if network == "" {
		t.Fatal("not the first of its line")
	}
	m.lines[network], m.served[network] = m.lines[network][1:], nil
	m.had[network]++
	for waiting, jobs := range m.lines {
		if len(jobs) == 0 || waiting == network {
			continue
		}
		m.served[waiting] = append(m.served[waiting], network)
		times, own, other := map[string]int{}, 0, 0
		for _, n := range m.served[waiting] {
			times[n]++
			if known(n) == known(waiting) {
				own++
			} else {
				other++
			}
			if known(n) == known(waiting) && times[n] > 1 || other > own+1 {
				t.Fatalf("%s waits while %v are served", waiting, m.served[waiting])
			}
		}
	}
}

func TestADisplacedCallerIsThrottledOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, g := gated(1, 1, 2)
		defer p.close()
		for n := range 2 {
			start(context.Background(), p, "flood", n)
			synctest.Wait()
		}
		displaced := start(context.Background(), p, "flood", 2)
		synctest.Wait()
		start(context.Background(), p, "other", 3)
		var f *fault.Error
		if err := <-displaced; !errors.As(err, &f) || f.Kind != fault.Throttled || p.stats().Refused != 1 || p.stats().Waiting != 2 {
			t.Errorf("%#v, %+v", err, p.stats())
		}
		close(g.open)
		synctest.Wait()
		if got := p.stats(); got.Done != 3 || got.Refused != 1 {
			t.Errorf("%+v", got)
		}
	})
}

func TestNetworksAreABoundedSetOfTheLast(t *testing.T) {
	var n networks
	for i := range 10 * rememberedNetworks {
		n.add(fmt.Sprint(i))
		n.add("daily")
		if size := len(n.recent) + len(n.older); size > 2*rememberedNetworks {
			t.Fatalf("%d remembered", size)
		}
	}
	if !n.has("daily") || !n.has(fmt.Sprint(9*rememberedNetworks+1)) || n.has("0") {
		t.Error("the last ones are not remembered, or all are")
	}
}

// One site with a /48 of IPv6 has 256 networks: they are one line, so that another
// network finds a place. One account that signs in from each makes them known.
func TestTheNetworksOfASiteTakeTheTurnOfOne(t *testing.T) {
	for _, known := range []bool{false, true} {
		t.Run(fmt.Sprintf("known %t", known), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { siteIsALine(t, known) }) })
	}
}

func siteIsALine(t *testing.T, known bool) {
	const places = 8
	p, g := gated(1, 1, places)
	defer p.close()
	from := func(network string, n int) chan error {
		if known {
			p.known.add(network)
		}
		defer synctest.Wait()
		return start(context.Background(), p, network, n)
	}
	for n := range 3 * places {
		from(fmt.Sprintf("2001:db8:1:%x00::/56", n), n)
	}
	other := from("2001:db8:2::/56", 1000)
	select {
	case err := <-other:
		t.Fatalf("another site found no place: %v", err)
	default:
	}
	for range 3 { // what is being hashed, one of the site, and the other
		g.open <- struct{}{}
		synctest.Wait()
	}
	wasServed(t, other, "the other site waits for more than one hash of the first")
	close(g.open)
}

// A provider may give each customer a /56 of one /48: what one of them floods delays
// another by two hashes, and leaves it a place.
func TestTheNetworksOfASiteTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const places = 8
		p, g := gated(1, 1, places)
		defer p.close()
		for n := range 3 * places {
			start(context.Background(), p, "2001:db8:1::/56", n)
			synctest.Wait()
		}
		var others []chan error
		for n := range 2 {
			others = append(others, start(context.Background(), p, "2001:db8:1:100::/56", 1000+n))
			synctest.Wait()
		}
		<-g.began
		for i := range 4 {
			g.open <- struct{}{} // one ends, and the next begins
			synctest.Wait()
			start(context.Background(), p, "2001:db8:1::/56", 2000+i)
			synctest.Wait()
			if n := <-g.began; n/1000 == 1 != (i%2 == 1) {
				t.Errorf("hash %d after the first one is number %d", i, n)
			}
		}
		close(g.open)
		for _, answer := range others {
			if err := <-answer; err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
	})
}

// Whatever comes, leaves and is served: a network of a site waits while each other one is
// served at most twice.
func TestTheNetworksOfASiteAreServedFairly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q, waiting, served := &queue{}, map[string][]*job{}, map[string]map[string]int{}
		gone := func(j *job) {
			network := j.network
			if waiting[network][0] == j {
				served[network] = map[string]int{}
			}
			waiting[network] = slices.DeleteFunc(waiting[network], func(other *job) bool { return other == j })
		}
		t.Repeat(map[string]func(*rapid.T){
			"come": func(t *rapid.T) {
				network := fmt.Sprintf("2001:db8:1:%d00::/56", rapid.IntRange(0, 3).Draw(t, "network"))
				j := &job{}
				q.push(j, network, true)
				if waiting[network] = append(waiting[network], j); len(waiting[network]) == 1 {
					served[network] = map[string]int{}
				}
			},
			"leave": func(*rapid.T) {
				for _, jobs := range waiting {
					if len(jobs) > 0 {
						j := jobs[len(jobs)-1]
						q.remove(j)
						gone(j)
						return
					}
				}
			},
			"serve": func(t *rapid.T) {
				j := q.pop()
				if j == nil {
					return
				}
				if waiting[j.network][0] != j {
					t.Fatal("not the first of its network")
				}
				gone(j)
				for network, jobs := range waiting {
					if network == j.network || len(jobs) == 0 {
						continue
					}
					if served[network][j.network]++; served[network][j.network] > 2 {
						t.Fatalf("%s waits while %v are served", network, served[network])
					}
				}
			},
		})
	})
}

// The attacker has signed in from more networks than there are places, so that all are
// known, and takes each place that becomes free.
func TestANetworkThatSignsInRarelyFindsAPlaceAmongManyThatFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const places, networks = 8, 24
		p, g := gated(1, 1, places)
		defer p.close()
		attacker := func(n int) string { return fmt.Sprint("attacker ", n%networks) }
		for n := range networks {
			p.known.add(attacker(n))
		}
		p.known.add("office")
		next := 0
		flood := func() {
			for range networks {
				start(context.Background(), p, attacker(next), next)
				next++
				synctest.Wait()
			}
		}
		flood()
		for range 2 * networks {
			g.open <- struct{}{}
			synctest.Wait()
			flood()
		}
		office := start(context.Background(), p, "office", 1_000_000)
		synctest.Wait()
		for range 3 { // what is being hashed, one of the flood at most, and the office
			flood()
			g.open <- struct{}{}
			synctest.Wait()
		}
		wasServed(t, office, "it waits for more than one hash of the flood")
		close(g.open)
		synctest.Wait()
	})
}

// However many networks come that were not served before, one that was waits for at most
// twice the turn of all.
func TestRareNetworksDoNotStarveTheOthers(t *testing.T) {
	var q queue
	for n := range 4 {
		q.served.add(fmt.Sprint("daily ", n))
		q.push(&job{}, fmt.Sprint("daily ", n), true)
	}
	for n := range 4 {
		for i := range 2 {
			q.push(&job{}, fmt.Sprint("rare ", 2*n+i), true)
			if j := q.pop(); j.line != nil || (j.network == fmt.Sprint("daily ", n)) != (i == 1) {
				t.Fatalf("%s was served", j.network)
			}
		}
	}
}

func TestHashesOfLongAgoDoNotCount(t *testing.T) {
	var s served
	s.add("office")
	for i := range 10 * servedLast {
		s.add(fmt.Sprint(i))
		if size := len(s.recent) + len(s.older); size > 2*servedLast {
			t.Fatalf("%d remembered", size)
		}
		if counts := i < servedLast-1; counts && s.of("office") != 1 {
			t.Fatalf("forgotten after %d", i)
		}
	}
	if s.of("office") != 0 || s.of(fmt.Sprint(10*servedLast-1)) != 1 {
		t.Error("one of long ago counts, or the last one does not")
	}
}
