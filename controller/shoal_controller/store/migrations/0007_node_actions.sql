-- What is pending on a node: a reboot, a reimage, a deallocation or a start.

ALTER TABLE nodes ADD COLUMN action TEXT NOT NULL DEFAULT 'reboot';
