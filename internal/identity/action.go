package identity

// Action is what an audit event says was done or refused. docs/audit.md
// explains each of them to operators.
type Action string

// The actions. They are stored, so their names never change.
const (
	ActionLogin          Action = "login"
	ActionLogout         Action = "logout"
	ActionReauthenticate Action = "session.reauthenticate"
	ActionEndSession     Action = "session.end"
	ActionEndSessions    Action = "session.end_all"
	ActionRefresh        Action = "token.refresh" // in the log only
	ActionReuse          Action = "token.reuse"
	ActionAuthorize      Action = "authorization.code" // a client gets a code for the user
	ActionCodeReuse      Action = "authorization.code_reuse"
	ActionConsent        Action = "consent.give"
	ActionWithdraw       Action = "consent.withdraw"
	ActionRevokeToken    Action = "token.revoke"  // by the client that holds it
	ActionDevice         Action = "device.decide" // the user allows or denies it
	ActionRegister       Action = "user.register"
	ActionCreateUser     Action = "user.create"
	ActionFirstAdmin     Action = "user.create_first_admin"
	ActionSetRole        Action = "user.set_role"
	ActionSetStatus      Action = "user.set_status"
	ActionDeleteUser     Action = "user.delete"
	ActionUpdateUser     Action = "user.update"
	ActionChangePassword Action = "user.change_password"
	ActionResetPassword  Action = "user.reset_password"

	ActionCreateOrganization Action = "organization.create"
	ActionUpdateOrganization Action = "organization.update"
	ActionDeleteOrganization Action = "organization.delete"

	ActionCreateGroup  Action = "group.create"
	ActionUpdateGroup  Action = "group.update"
	ActionDeleteGroup  Action = "group.delete"
	ActionAddMember    Action = "group.add_member"
	ActionRemoveMember Action = "group.remove_member"

	ActionCreateServiceToken Action = "service_token.create"
	ActionUpdateServiceToken Action = "service_token.update" // other audiences
	ActionRevokeServiceToken Action = "service_token.revoke"
	ActionTakeServiceToken   Action = "service_token.take"     // another user owns it
	ActionExchange           Action = "service_token.exchange" // in the log only
	ActionClientToken        Action = "client.token"           // a client got a token for itself; in the log only

	ActionCreateClient       Action = "client.create"
	ActionUpdateClient       Action = "client.update"
	ActionDeleteClient       Action = "client.delete"
	ActionAddClientSecret    Action = "client.add_secret" //nolint:gosec // no secret
	ActionRemoveClientSecret Action = "client.remove_secret"
	ActionRevokeClientTokens Action = "client.revoke_tokens"
	ActionAuthenticateClient Action = "client.authenticate" // refusals only

	ActionThrottle    Action = "throttle.limit"        // a limit of attempts began
	ActionManyGuesses Action = "throttle.many_guesses" // 100 failed guesses of one account

	ActionSetRegistration Action = "registration.set"
	ActionRouteDenied     Action = "route.denied" // in the log only

	ActionRestartAudit Action = "audit.restart" // a new chain of audit events

	ActionKeyRotate   Action = "key.rotate"   // a pending key was made
	ActionKeyWithdraw Action = "key.withdraw" // a pending key will not sign
	ActionKeyActivate Action = "key.activate"
	ActionKeyRetire   Action = "key.retire" // another key signs
	ActionKeyRemove   Action = "key.remove" // its last token has expired
	ActionKeyRevoke   Action = "key.revoke"
	ActionKeyImport   Action = "key.import"
	ActionKeyExport   Action = "key.export"
	ActionKeyReseal   Action = "key.reseal"
	ActionKeySeal     Action = "key.seal"        // moved from a file into the database
	ActionKeyAccept   Action = "key.accept"      // an operator authenticated a row
	ActionKeyRefuse   Action = "key.row_refused" // a row was not written by a server
)
