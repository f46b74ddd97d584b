-- Relay $1 keeps the lease of term $2 for another $3. No row means that another relay has it.
update outbox.lease
set expires_at = clock_timestamp() + $3::interval
where owner = $1::text and term = $2::bigint
returning expires_at
