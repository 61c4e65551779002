-- Pools that scale by a formula: its settings and last evaluation, NULL where it is off.

ALTER TABLE pools ADD COLUMN auto_scale BLOB;
ALTER TABLE pools ADD COLUMN auto_scale_enabled_at INTEGER;
