package identity

// MayManageClients decides whether actor may create and change clients of the
// organization; empty: of all, which only a superadmin may. A client receives the
// tokens of those who sign in to it, so this needs a recent sign-in, and service tokens
// and clients never may.
func MayManageClients(actor Principal, orgID string) error {
	if actor.Kind != ActorUser && actor.Kind != ActorSystem {
		return ErrForbidden
	}
	if err := MaySeeClients(actor, orgID); err != nil {
		return err
	}
	return actor.recent()
}

// MaySeeClients decides whether actor may read clients of the organization; empty: of
// all.
func MaySeeClients(actor Principal, orgID string) error {
	if orgID == "" && actor.Active && actor.Role == OrgAdmin {
		return hidden("client")
	}
	return MayAdminister(actor, orgID, "client")
}
