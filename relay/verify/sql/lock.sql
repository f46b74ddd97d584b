-- Locks the receipts $1 against the relay, which extends them, and its purge, which passes them over. It waits for either.
select id from outbox.receipts where id = any ($1::bigint[]) order by id for update
