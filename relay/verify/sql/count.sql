-- How many selected rows receipt $8 covers.
select count(*)
from (select ids from outbox.receipts where id = $8::bigint) as place
cross join lateral unnest(place.ids) as span
cross join lateral (
    select from outbox.events where id between lower(span) and upper(span) - 1 and :selection
) as event
