-- How far stream $2 of broker $1 was settled; no row if nothing of it ever was.
select incarnation, last_sequence
from outbox.positions
where broker = $1 and stream = $2 and kept_from is null
order by id desc
limit 1
