-- The database of the Python server 0.1 as SQLAlchemy makes it, on SQLite and
-- on PostgreSQL. Passwords: admin, correct horse, tr0ub4dor&3. Refresh tokens:
-- refresh-of-ada, refresh-of-bob, refresh-of-ada-expired, refresh-of-nobody.
CREATE TABLE users (
	id VARCHAR(36) NOT NULL, 
	email VARCHAR(255) NOT NULL, 
	display_name VARCHAR(255) NOT NULL, 
	password_hash VARCHAR(255) NOT NULL, 
	role VARCHAR(50) NOT NULL, 
	org_id VARCHAR(100) NOT NULL, 
	status VARCHAR(50) NOT NULL, 
	created_at VARCHAR(50) NOT NULL, 
	last_login_at VARCHAR(50), 
	PRIMARY KEY (id)
);
CREATE UNIQUE INDEX ix_users_email ON users (email);
CREATE TABLE refresh_tokens (
	id VARCHAR(36) NOT NULL, 
	user_id VARCHAR(36) NOT NULL, 
	token_hash VARCHAR(64) NOT NULL, 
	expires_at VARCHAR(50) NOT NULL, 
	created_at VARCHAR(50) NOT NULL, 
	PRIMARY KEY (id)
);
CREATE INDEX ix_refresh_tokens_user_id ON refresh_tokens (user_id);
CREATE UNIQUE INDEX ix_refresh_tokens_token_hash ON refresh_tokens (token_hash);
INSERT INTO users VALUES('8cf6396af68b','admin@pico.local','Admin','$2b$04$EmK/ieikRSycR9G6UgturO2XJAS7GacXdYqOsjimdjGAmu8A6gFha','superadmin','default','active','2026-11-01T00:03:36.556012+00:00','2026-11-22T00:03:42.288219+00:00');
INSERT INTO users VALUES('0a1b2c3d4e5f','Ada.Lovelace@Example.org','Ada','$2b$04$Swgp65yIro5n9ldZ22W8wOll6l5sSYkv4uVeYMVykuxpp3bzhcy4W','org_admin','default','active','2026-11-02T10:00:00+00:00',NULL);
INSERT INTO users VALUES('1b2c3d4e5f60','bob','','$2b$04$xCypFJZvKHR8/ft/FOZ8OuA9xJqZj1qWe3X7KkCJHOz8vilcyvQYO','viewer','default','active','2026-11-03T12:30:00.5+02:00','2026-11-20T08:00:00Z');
INSERT INTO users VALUES('2c3d4e5f6071','carol@example.org','Carol','$2b$04$xCypFJZvKHR8/ft/FOZ8OuA9xJqZj1qWe3X7KkCJHOz8vilcyvQYO','operator','acme','suspended','2026-11-04T09:15:30.000001',NULL);
INSERT INTO refresh_tokens VALUES('612f8df88801','0a1b2c3d4e5f','6890eb19716a8c671e0307bf974c3c79ee2d0e616cb7077f364f7a49dbe830b3','2026-11-29T00:03:42.369021+00:00','2026-11-22T00:03:42.369063+00:00');
INSERT INTO refresh_tokens VALUES('612f8df88802','1b2c3d4e5f60','e86f725e6babcd6fa88f9a187e9acc6c5c2dc86991c931c5ae8277aba5413565','2027-11-22T00:00:00+00:00','2026-11-22T00:00:00+00:00');
INSERT INTO refresh_tokens VALUES('612f8df88803','0a1b2c3d4e5f','9a2566385c194f359ce92dde46b161f590bdf6ab48c72af4ea24260819b36d1b','2026-11-21T00:00:00+00:00','2026-11-14T00:00:00+00:00');
INSERT INTO refresh_tokens VALUES('612f8df88804','ffffffffffff','61adf57dcd6fcd6263630010b580627ced621f79ae72b814332fc5e6c155b60d','2026-11-29T00:00:00+00:00','2026-11-22T00:00:00+00:00');
INSERT INTO refresh_tokens VALUES('612f8df88805','2c3d4e5f6071','dfe3c38205b9bd97fd571dcb9f703855cd511018f1a5ab69624eda9e3a89bca2','2026-11-29T00:00:00+00:00','2026-11-22T00:00:00+00:00');
