-- The relay that leads in term $2 sleeps in process $1 of the server: writers that read this from
-- now on notify. False if another relay leads. A crash of the server may take it back, for then the
-- process is gone too.
select set_config('synchronous_commit', 'off', true) is not null
       and (select setval('outbox.waker', $1::bigint) from outbox.lease where term = $2::bigint) is not null
