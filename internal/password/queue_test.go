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
// order: while a job is the first of its network, each other network of its class is
// served at most once, and the other class at most once more than its own. The
// bound holds, and a new job displaces none of a network with fewer, nor one of a network
// with as many that was not served later, unless the other class has as many or more.
func TestQueueIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := &queue{}
		m := model{waiting: map[string][]*job{}, since: map[string][]string{}, last: map[string]int{}}
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

// model is the jobs of each network. Upper case is known.
type model struct {
	waiting map[string][]*job
	since   map[string][]string // the networks that were served since the first of these became the first
	last    map[string]int      // when each was served
	served  int
}

func known(network string) bool { return network < "a" }

func (m *model) all() (jobs []*job) {
	for _, network := range []string{"a", "b", "c", "D", "E", "F"} {
		jobs = append(jobs, m.waiting[network]...)
	}
	return jobs
}

func (m *model) network(j *job) string {
	for network, jobs := range m.waiting {
		if slices.Contains(jobs, j) {
			return network
		}
	}
	return ""
}

// class is how many jobs of the network's class wait.
func (m *model) class(network string) (n int) {
	for other, jobs := range m.waiting {
		if known(other) == known(network) {
			n += len(jobs)
		}
	}
	return n
}

func (m *model) come(t *rapid.T, q *queue, network string, places int) {
	j := &job{}
	q.push(j, network, known(network))
	if m.waiting[network] = append(m.waiting[network], j); len(m.waiting[network]) == 1 {
		m.since[network] = nil
	}
	if q.len() <= places {
		return
	}
	out := q.excess()
	if from := m.network(out); from != network {
		more := len(m.waiting[from]) - len(m.waiting[network])
		if more == 0 && m.last[from] > m.last[network] {
			more = 1
		}
		if known(from) != known(network) && m.class(from) >= m.class(network) {
			more = 1
		}
		if more <= 0 {
			t.Fatalf("%s with %d took a place of %s with %d", network, len(m.waiting[network]), from, len(m.waiting[from]))
		}
	}
	m.drop(t, q, out)
}

func (m *model) drop(t *rapid.T, q *queue, j *job) {
	network := m.network(j)
	if m.waiting[network][0] == j {
		m.since[network] = nil
	}
	if !q.remove(j) || q.remove(j) {
		t.Fatal("it was not in the queue exactly once")
	}
	m.waiting[network] = slices.DeleteFunc(m.waiting[network], func(other *job) bool { return other == j })
}

func (m *model) serve(t *rapid.T, q *queue) {
	next := q.pop()
	if (next == nil) != (len(m.all()) == 0) {
		t.Fatalf("popped %p of %d", next, len(m.all()))
	}
	if next == nil {
		return
	}
	network := m.network(next)
	if m.waiting[network][0] != next {
		t.Fatal("not the first of its network")
	}
	m.served++
	m.waiting[network], m.since[network], m.last[network] = m.waiting[network][1:], nil, m.served
	for waiting, jobs := range m.waiting {
		if len(jobs) == 0 || waiting == network {
			continue
		}
		m.since[waiting] = append(m.since[waiting], network)
		times, own, other := map[string]int{}, 0, 0
		for _, n := range m.since[waiting] {
			times[n]++
			if known(n) == known(waiting) {
				own++
			} else {
				other++
			}
			if known(n) == known(waiting) && times[n] > 1 || other > own+1 {
				t.Fatalf("%s waits while %v are served", waiting, m.since[waiting])
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
// served at most once.
func TestTheNetworksOfASiteAreServedFairly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q, waiting, served := &queue{}, map[string][]*job{}, map[string]map[string]int{}
		of := map[*job]string{}
		gone := func(j *job) {
			network := of[j]
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
				of[j] = network
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
				if waiting[of[j]][0] != j {
					t.Fatal("not the first of its network")
				}
				gone(j)
				for network, jobs := range waiting {
					if network == of[j] || len(jobs) == 0 {
						continue
					}
					if served[network][of[j]]++; served[network][of[j]] > 1 {
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
		q.push(&job{}, fmt.Sprint("daily ", n), true)
		q.pop()
	}
	daily := map[*job]bool{}
	for n := range 4 {
		j := &job{}
		q.push(j, fmt.Sprint("daily ", n), true)
		daily[j] = true
	}
	for n := range 4 {
		for i := range 2 {
			q.push(&job{}, fmt.Sprint("rare ", 2*n+i), true)
			if j := q.pop(); daily[j] != (i == 1) {
				t.Fatalf("%d of the daily ones wait", len(daily))
			}
		}
	}
}

func TestHashesOfLongAgoDoNotCount(t *testing.T) {
	var q queue
	serve := func(network string) {
		q.push(&job{}, network, true)
		q.pop()
	}
	serve("office")
	for i := range 10 * remembered {
		serve(fmt.Sprint(i))
		refused := &job{}
		q.push(refused, fmt.Sprint("refused ", i), true)
		q.remove(refused)
		if size := len(q.shares[2]); size > 2*remembered {
			t.Fatalf("%d remembered", size)
		}
		if s := q.shares[2][shareName{true, "office"}]; i < remembered-2 && (s == nil || q.forgotten(s)) {
			t.Fatalf("forgotten after %d", i)
		}
	}
	if q.shares[2][shareName{true, "office"}] != nil || q.shares[2][shareName{true, fmt.Sprint(10*remembered - 1)}] == nil {
		t.Error("one of long ago counts, or the last one does not")
	}
}
