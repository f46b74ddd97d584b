-- The ids of the events that the fallback got first, as ranges with both ends included.
select lower(span), upper(span) - 1
from outbox.rehomes, unnest(ids) as span
