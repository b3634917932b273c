package password

import (
	"cmp"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// simulation is a pool that computes nothing: in each round the users and the attackers
// ask, one hash ends, and the next one begins.
type simulation struct {
	queue  queue
	places int
	round  int
	asked  map[*job]*simulatedUser
}

// simulatedUser signs in from a network of its own, again and again.
type simulatedUser struct {
	network string
	known   bool
	pause   int // rounds after a login

	next    int // the round in which it asks
	begin   int // the round of the first request of this login
	refused int // requests of this login

	logins, atOnce int // atOnce: no request was refused
	longest        int // rounds of a login
}

// patience is how many rounds a refused user waits: the second of Retry-After, on two cores.
const patience = 24

// attacker asks from its networks in turn.
type attacker struct {
	networks []string
	known    bool
	sites    int // that the networks are, if fewer
	asked    int
}

func numbered(format string, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf(format, i))
	}
	return names
}

// ask is one request; nil if it was refused.
func (s *simulation) ask(network string, known bool) *job {
	j := &job{}
	s.queue.push(j, network, known)
	if s.queue.len() <= s.places {
		return j
	}
	out := s.queue.excess()
	s.queue.remove(out)
	if u := s.asked[out]; u != nil {
		delete(s.asked, out)
		u.refuse(s.round)
	}
	if out == j {
		return nil
	}
	return j
}

func (u *simulatedUser) refuse(round int) {
	u.refused++
	u.next = round + patience
}

func (u *simulatedUser) login(s *simulation) {
	if u.refused == 0 {
		u.begin = s.round
	}
	if j := s.ask(u.network, u.known); j != nil {
		s.asked[j] = u
	} else {
		u.refuse(s.round)
	}
}

func (u *simulatedUser) signedIn(round int) {
	u.logins++
	if u.refused == 0 {
		u.atOnce++
	}
	u.longest = max(u.longest, round-u.begin)
	u.refused = 0
	u.next = round + u.pause
}

// run lets each attacker ask as often in a round as requests says.
func (s *simulation) run(rounds int, users []*simulatedUser, attackers []*attacker, requests func() int) {
	s.asked = map[*job]*simulatedUser{}
	for ; s.round < rounds; s.round++ {
		for _, a := range attackers {
			for range requests() {
				s.ask(a.networks[a.asked%len(a.networks)], a.known)
				a.asked++
			}
		}
		for _, u := range users {
			if u.next == s.round {
				u.login(s)
			}
		}
		if u := s.asked[s.queue.pop()]; u != nil {
			u.signedIn(s.round)
		}
	}
	for _, u := range users { // who waits still
		if u.next < s.round || u.refused > 0 {
			u.longest = max(u.longest, s.round-u.begin)
		}
	}
}

// TestUsersSignInWhateverAttackersSend attacks from one address, from a /48 of IPv6, from
// networks that one account made known, from others, and from a great many; with several of
// these at the same time. A login of a user ends within twice the turn of all sites of its
// class, since the other class has every second hash.
func TestUsersSignInWhateverAttackersSend(t *testing.T) {
	many := numbered("10.%d.0.0/24", 10_000)
	rapid.Check(t, func(t *rapid.T) {
		s := &simulation{places: rapid.IntRange(8, 80).Draw(t, "places")}
		known := func(name string) bool { return rapid.Bool().Draw(t, name+" known") }
		some := func() int { return rapid.IntRange(2, 100).Draw(t, "networks") }
		attackers := rapid.SliceOfNDistinct(rapid.SampledFrom([]*attacker{
			{networks: numbered("192.0.2.%d/32", 1), sites: 1, known: known("one")},
			{networks: numbered("2001:db8:1:%02x00::/56", 256), sites: 1, known: known("site")},
			{networks: numbered("198.51.100.%d/32", some()), known: true},
			{networks: numbered("203.0.113.%d/32", some()), known: false},
			{networks: many, known: false},
		}), 1, 5, rapid.ID).Draw(t, "attackers")
		var users []*simulatedUser
		sites := map[bool]int{} // by known
		for n := range rapid.IntRange(1, 20).Draw(t, "users") {
			u := &simulatedUser{network: fmt.Sprint("user ", n), known: known("user"), next: rapid.IntRange(0, 300).Draw(t, "begins")}
			u.pause = rapid.IntRange(1, 300).Draw(t, "pause")
			users = append(users, u)
			sites[u.known]++
		}
		for _, a := range attackers {
			sites[a.known] += cmp.Or(a.sites, len(a.networks))
		}
		requests := rapid.SliceOfN(rapid.IntRange(0, 4), 1, 20).Draw(t, "requests in a round")
		n := 0
		s.run(500, users, attackers, func() int { n++; return requests[n%len(requests)] })
		for _, u := range users {
			if most := 2*sites[u.known] + patience + 6; u.longest > most {
				t.Errorf("%s, known %t: a login took %d hashes, %d sites are in its class", u.network, u.known, u.longest, sites[u.known])
			}
		}
	})
}

// Users who sign in less often than the attacker's networks are not refused.
func TestUsersSignInAtOnceDuringAFlood(t *testing.T) {
	one := &attacker{networks: numbered("192.0.2.%d/32", 1)}
	site := &attacker{networks: numbered("2001:db8:1:%02x00::/56", 256), known: true}
	known := &attacker{networks: numbered("198.51.100.%d/32", 80), known: true} // more than places
	many := &attacker{networks: numbered("10.%d.0.0/24", 10_000)}
	for name, attackers := range map[string][]*attacker{
		"one address": {one}, "a /48": {site}, "known networks": {known}, "many networks": {many}, "all": {one, site, known, many},
	} {
		t.Run(name, func(t *testing.T) {
			s := &simulation{places: 40}
			var users []*simulatedUser
			for n := range 20 {
				users = append(users, &simulatedUser{network: fmt.Sprint("user ", n), known: true, next: 300 + 10*n, pause: 220 + n})
			}
			s.run(1000, users, attackers, func() int { return 6 })
			logins, atOnce := 0, 0
			for _, u := range users {
				logins, atOnce = logins+u.logins, atOnce+u.atOnce
				if u.longest > 2*len(users) {
					t.Errorf("a login of %s took %d hashes", u.network, u.longest)
				}
			}
			if logins < 40 || atOnce < logins*95/100 {
				t.Errorf("of %d logins %d at once", logins, atOnce)
			}
		})
	}
}

// The networks with which an attacker fills a class are known, too, or unknown as the user is,
// and the other class takes half of the hashes. However rarely each is served, none counts as
// one that was not.
func TestUsersSignInBesideMoreNetworksThanAreServedForMinutes(t *testing.T) {
	many := &attacker{networks: numbered("10.%d.0.0/24", 10_000)}
	for _, n := range []int{300, 490, 510, 1000} {
		for _, known := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d, known %t", n, known), func(t *testing.T) {
				s := &simulation{places: 40}
				var users []*simulatedUser
				for i := range 10 {
					users = append(users, &simulatedUser{network: fmt.Sprint("user ", i), known: known, next: 600 + 10*i, pause: 220 + i})
				}
				many.known = !known
				s.run(6000, users, []*attacker{{networks: numbered("198.51.%d/32", n), known: known}, many}, func() int { return 6 })
				for _, u := range users {
					if most := 2*(n+len(users)) + patience + 6; u.longest > most || u.logins == 0 {
						t.Errorf("a login of %s took %d hashes, more than %d, of %d", u.network, u.longest, most, u.logins)
					}
				}
			})
		}
	}
}

// One attacker floods from the user's site, where no one else has signed in, or is the only one
// who has; another one floods the class of the user.
func TestTheOtherClassOfAUsersSiteTakesNothingFromThem(t *testing.T) {
	for _, known := range []bool{true, false} {
		t.Run(fmt.Sprintf("known %t", known), func(t *testing.T) {
			s := &simulation{places: 40}
			u := &simulatedUser{network: "2001:db8:1:100::/56", known: known, next: 300, pause: 50}
			s.run(1000, []*simulatedUser{u}, []*attacker{
				{networks: []string{"2001:db8:1:200::/56"}, known: !known}, {networks: numbered("198.51.100.%d/32", 1), known: known},
			}, func() int { return 6 })
			if u.logins < 10 || u.atOnce != u.logins || u.longest > 6 {
				t.Errorf("of %d logins %d at once, the longest took %d hashes", u.logins, u.atOnce, u.longest)
			}
		})
	}
}
