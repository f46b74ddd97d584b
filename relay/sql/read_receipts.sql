-- The ids that receipts cover, as ranges with both ends included, each receipt's in order.
select lower(span), upper(span) - 1
from outbox.receipts, unnest(ids) as span
