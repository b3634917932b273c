package identity

// ClientRights is what a client can do that its administrator must be able to do.
type ClientRights struct {
	OrgID      string // empty: it signs in users of all organizations
	Role       Role   // the highest that it acts with
	Privileged bool   // it is first party, or receives tokens that open this API
}

// MaySeeClients decides whether actor may read clients of the organization; empty: of
// all.
func MaySeeClients(actor Principal, orgID string) error {
	if orgID == "" && actor.Active && actor.Role == OrgAdmin {
		return hidden("client")
	}
	return MayAdminister(actor, orgID, "client")
}

// MayManageClients decides whether actor may create, change and delete a client with
// these rights. A client receives the tokens of those who sign in to it, so this needs a
// recent sign-in; service tokens and clients never may. Only superadmins manage
// privileged ones and those of all organizations.
func MayManageClients(actor Principal, of ClientRights) error {
	if actor.Kind != ActorUser && actor.Kind != ActorSystem {
		return ErrForbidden
	}
	if err := MaySeeClients(actor, of.OrgID); err != nil {
		return err
	}
	if err := actor.reaches(of.Role); err != nil {
		return err
	}
	if of.Privileged && actor.Role != Superadmin {
		return ErrForbidden
	}
	return actor.recent()
}
