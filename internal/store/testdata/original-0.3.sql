-- What the Python server 0.3 adds. Service tokens: pico_svc_ci, pico_svc_old.
CREATE TABLE service_tokens (
	id VARCHAR(36) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	token_hash VARCHAR(64) NOT NULL, 
	role VARCHAR(50) NOT NULL, 
	org_id VARCHAR(100) NOT NULL, 
	description VARCHAR(500) NOT NULL, 
	created_at VARCHAR(50) NOT NULL, 
	revoked_at VARCHAR(50), 
	PRIMARY KEY (id)
);
CREATE INDEX ix_service_tokens_name ON service_tokens (name);
CREATE UNIQUE INDEX ix_service_tokens_token_hash ON service_tokens (token_hash);
CREATE TABLE email_credentials (
	id VARCHAR(36) NOT NULL, 
	agent_id VARCHAR(128) NOT NULL, 
	email VARCHAR(256) NOT NULL, 
	imap_host VARCHAR(256) NOT NULL, 
	imap_port INTEGER NOT NULL, 
	smtp_host VARCHAR(256) NOT NULL, 
	smtp_port INTEGER NOT NULL, 
	username VARCHAR(256) NOT NULL, 
	password VARCHAR(512) NOT NULL, 
	use_tls BOOLEAN NOT NULL, 
	created_at VARCHAR(50) NOT NULL, 
	PRIMARY KEY (id)
);
CREATE UNIQUE INDEX ix_email_credentials_agent_id ON email_credentials (agent_id);
INSERT INTO service_tokens VALUES('51d1f0000001','ci','29253c7ced29dd005055def79c24e2e3fdb1a666e0b54118621f25a47030a76b','operator','robots','Builds','2026-11-08T00:00:00.123456+00:00',NULL);
INSERT INTO service_tokens VALUES('51d1f0000002','ci','199e4ff0a8bec41a25705b4e149d18075c824aba5b2fb86fac2507203d0dd245','agent','robots','','2026-11-07T00:00:00+00:00','2026-11-08T00:00:00+00:00');
INSERT INTO email_credentials VALUES('e1e1e1e1e1e1','agent-1','agent@example.org','imap.example.org',993,'smtp.example.org',465,'agent','mailbox password',true,'2026-11-09T00:00:00+00:00');
