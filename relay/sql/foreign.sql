-- The events that were acknowledged by others than the brokers $1, by broker.
select broker, sum(events)::bigint from outbox.receipts where broker <> all ($1::text[]) group by broker order by broker
