-- What was last seen of the limits of stream $2 of broker $1; no row if it was never looked at.
select incarnation, limits, kept_from, kept_until
from outbox.positions
where broker = $1 and stream = $2 and kept_from is not null
order by id desc
limit 1
