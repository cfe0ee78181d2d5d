package memcached

import (
	"slices"
	"time"
)

const MaxRecord = maxRecord

// ServerFor returns which of the servers, as [New] got them, an id is on.
func (m *Store) ServerFor(id string) int { return slices.Index(m.servers, m.serverFor(id)) }

func Expiration(t time.Time) int32 { return expiration(t) }
