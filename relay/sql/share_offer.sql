-- The owner of the lease of term $1 leads $2 sources. Who has asked for this one within $3, and how many that one leads; no row if nobody
-- has. Nothing is written while nothing changes.
with told as (
    update outbox.sharing set term = $1::bigint, load = $2::int
    where term <> $1::bigint or load <> $2::int
)
select bidder, bidder_load from outbox.sharing where bidder <> '' and bid_at > clock_timestamp() - $3::interval
