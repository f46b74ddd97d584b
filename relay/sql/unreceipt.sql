-- Stream $2 of broker $1 has lost what lay after sequence $4 and from sequence $8 up to before $5, or all of it where it is not
-- incarnation $3 any more. The receipts for that are void, so that their rows are events to publish again; those younger than $6 or older
-- than $7 (0 for no limit) are left alone.
with void as (
    delete from outbox.receipts
    where broker = $1::text
      and stream = $2::text
      and (incarnation <> $3::text or last_sequence > $4::bigint
           or first_sequence >= $8::bigint and first_sequence < $5::bigint)
      and settled_at <= clock_timestamp() - $6::interval
      and ($7::interval = interval '0' or first_settled_at > clock_timestamp() - $7::interval)
    returning events, incarnation, first_sequence, last_sequence, first_settled_at
)
select coalesce(sum(events), 0)::bigint,
       coalesce(min(first_sequence) filter (where incarnation = $3::text), 0),
       coalesce(max(last_sequence) filter (where incarnation = $3::text), 0),
       coalesce(min(first_settled_at), clock_timestamp())
from void
