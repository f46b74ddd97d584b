-- How many retained events were acknowledged by other streams than stream $2 of broker $1.
select coalesce(sum(events), 0)::bigint from outbox.receipts where broker <> $1::text or stream <> $2::text
