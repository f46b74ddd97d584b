-- Those of the transactions $1 that have ended as this statement's snapshot sees it: what they committed is visible
-- to it. The ids are 32 bits wide, as in pg_locks. Each is completed by the end of the snapshot; one that lies after
-- that end (by the rule of wraparound, up to half of all ids) is a transaction that began later, and has not ended.
select watched.xid
from (select pg_current_snapshot() as snapshot) as here
cross join lateral (select pg_snapshot_xmax(here.snapshot)::text::bigint as next_xid) as bound
cross join unnest($1::bigint[]) as watched (xid)
cross join lateral (select (bound.next_xid - watched.xid) & 4294967295 as distance) as past
where past.distance < 2147483648
  and pg_visible_in_snapshot((bound.next_xid - past.distance)::text::xid8, here.snapshot)
