package store

import "context"

// ClientOrigins calls each with the origins of every active client. If the connection is
// lost, it begins again.
func (s *Store) ClientOrigins(ctx context.Context, each func(origins []string)) error {
	return s.read(ctx, func(t *tx) error {
		return t.each(func(r scanner) error {
			c, err := scanClient(r)
			if err == nil && !c.Suspended {
				each(c.Origins())
			}
			return err
		}, "SELECT "+clientColumns+" FROM "+clientTables+" WHERE c.status = 'active'")
	})
}
