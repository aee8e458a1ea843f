-- An event that ends its sender, each time it is sent, must end some day. A try is counted
-- once, however often it is begun again, so that deaths of other causes use up none.
-- How often it was taken since a try of it was last settled.
ALTER TABLE events ADD COLUMN taken INTEGER NOT NULL DEFAULT 0;
