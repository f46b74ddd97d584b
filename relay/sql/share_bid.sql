-- Relay $1, whose process leads $3 sources, asks for the lease of term $2, if its owner leads at least two more. A relay that asked within
-- $4 and leads no more than this one comes first. A row says that it has asked.
update outbox.sharing
set bidder = $1::text, bidder_load = $3::int, bid_at = clock_timestamp()
where term = $2::bigint and load >= $3::int + 2
  and (bidder = $1::text or bid_at < clock_timestamp() - $4::interval or bidder_load > $3::int)
returning load
