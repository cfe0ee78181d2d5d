package apptest

import (
	"context"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/recordstore"
)

// Public returns a store of ours as a [ginsession.Store], which the suites of
// storetest take.
func Public(s recordstore.Store) ginsession.Store { return publicStore{s} }

type publicStore struct{ recordstore.Store }

func (s publicStore) Load(ctx context.Context, id string) (ginsession.Record, error) {
	r, err := s.Store.Load(ctx, id)
	return ginsession.Record(r), err
}

func (s publicStore) Save(ctx context.Context, id string, r ginsession.Record) error {
	return s.Store.Save(ctx, id, recordstore.Record(r))
}
