-- How many events the receipts cover that unreceipt.sql would void.
select coalesce(sum(events), 0)::bigint
from outbox.receipts
where broker = $1::text
  and stream = $2::text
  and (incarnation <> $3::text or last_sequence > $4::bigint
           or first_sequence >= $8::bigint and first_sequence < $5::bigint)
  and settled_at <= clock_timestamp() - $6::interval
  and ($7::interval = interval '0' or first_settled_at > clock_timestamp() - $7::interval)
