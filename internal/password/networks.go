package password

import "sync"

// rememberedNetworks is how many networks a generation holds.
const rememberedNetworks = 5_000

// networks is a bounded set: the last 5,000 that were added, and some before them.
// The zero value is empty.
type networks struct {
	mu            sync.Mutex
	recent, older map[string]struct{}
}

// add forgets the older generation when the recent one is full.
func (n *networks) add(network string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, there := n.recent[network]; there {
		return
	}
	if n.recent == nil || len(n.recent) >= rememberedNetworks {
		n.older, n.recent = n.recent, map[string]struct{}{}
	}
	n.recent[network] = struct{}{}
}

func (n *networks) has(network string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, recent := n.recent[network]
	_, older := n.older[network]
	return recent || older
}
