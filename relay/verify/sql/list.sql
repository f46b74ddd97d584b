-- The receipts of stream $2 of broker $1 that may cover events of a selection, in the order of the stream; those for another
-- incarnation than $3 first, for their sequences mean nothing any more. The selection begins with id $4, ends with id $5, and
-- holds nothing from before $6: what was settled before that was written before it too.
select id,
       case when incarnation = $3::text then first_sequence else 0 end as first_sequence,
       case when incarnation = $3::text then last_sequence else 0 end as last_sequence,
       clock_timestamp() - first_settled_at
from outbox.receipts
where broker = $1::text
  and stream = $2::text
  and ids && int8range($4::bigint, nullif($5::bigint, 9223372036854775807) + 1)
  and ($6::timestamptz is null or settled_at >= $6::timestamptz)
order by 2, 1
