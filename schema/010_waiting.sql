-- What waits for a machine, of every kind that has a queue (GET queue/).
CREATE INDEX work_requests_waiting ON work_requests (id) WHERE status = 'pending' AND queue IS NOT NULL;
