-- How many retained events were acknowledged by other streams than stream $2 of broker $1, by stream.
select broker, stream, sum(events)::bigint as events
from outbox.receipts
where broker <> $1::text or stream <> $2::text
group by broker, stream
order by broker, stream
