-- An event that ends its sender, each time it is sent, must end some day. A try is counted
-- once, however often it is begun again, so that deaths of other causes use up none.
-- How often it was taken since a try of it was last settled.
-- Whoever waits for this table waits behind the ALTER, while it waits for a backup: not for long.
SET LOCAL lock_timeout = '3s';
ALTER TABLE events ADD COLUMN taken BIGINT NOT NULL DEFAULT 0;
