-- Workspaces share the machines: what waits is read by queue and workspace.
DROP INDEX work_requests_hint;
CREATE INDEX work_requests_hint ON work_requests (queue, workspace_id, (-(priority_base + priority_adjustment)), id)
 WHERE status = 'pending' AND task_type = 'Worker';

-- Each task has queues of its own, and what a queue requires is what its own task
-- implies. The queues of before keep their name, which is that of sbuild now.
UPDATE queues SET required = array_remove(array_remove(array_remove(array_remove(required,
       'worker:cap:mmdebstrap'), 'worker:task:worker:mmdebstrap:version:1'), 'worker:task:worker:noop:version:1'), 'worker:task:worker:sleep:version:1')
 WHERE name LIKE 'build/%';
