-- What the Python server 0.2 adds. The last three memberships are of a group
-- that was deleted, of a user that was deleted, and of a user of another organization.
CREATE TABLE groups (
	id VARCHAR(36) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	description VARCHAR(500) NOT NULL, 
	org_id VARCHAR(100) NOT NULL, 
	created_at VARCHAR(50) NOT NULL, 
	updated_at VARCHAR(50) NOT NULL, 
	PRIMARY KEY (id)
);
CREATE INDEX ix_groups_org_id ON groups (org_id);
CREATE INDEX ix_groups_name ON groups (name);
CREATE TABLE group_members (
	group_id VARCHAR(36) NOT NULL, 
	user_id VARCHAR(36) NOT NULL, 
	joined_at VARCHAR(50) NOT NULL, 
	PRIMARY KEY (group_id, user_id)
);
CREATE INDEX ix_group_members_user_id ON group_members (user_id);
INSERT INTO groups VALUES('aaaaaaaaaaaa','Ops','On call','default','2026-11-05T00:00:00.000000+00:00','2026-11-06T00:00:00+00:00');
INSERT INTO groups VALUES('bbbbbbbbbbbb','ops','','default','2026-11-05T00:00:01+00:00','2026-11-05T00:00:01+00:00');
INSERT INTO groups VALUES('cccccccccccc','Ops','','acme','2026-11-05T00:00:02+00:00','2026-11-05T00:00:02+00:00');
INSERT INTO group_members VALUES('aaaaaaaaaaaa','0a1b2c3d4e5f','2026-11-07T00:00:00+00:00');
INSERT INTO group_members VALUES('bbbbbbbbbbbb','0a1b2c3d4e5f','2026-11-07T00:00:01+00:00');
INSERT INTO group_members VALUES('aaaaaaaaaaaa','1b2c3d4e5f60','2026-11-07T00:00:02+00:00');
INSERT INTO group_members VALUES('cccccccccccc','2c3d4e5f6071','2026-11-07T00:00:03+00:00');
INSERT INTO group_members VALUES('dddddddddddd','0a1b2c3d4e5f','2026-11-07T00:00:04+00:00');
INSERT INTO group_members VALUES('aaaaaaaaaaaa','eeeeeeeeeeee','2026-11-07T00:00:05+00:00');
INSERT INTO group_members VALUES('cccccccccccc','0a1b2c3d4e5f','2026-11-07T00:00:06+00:00');
