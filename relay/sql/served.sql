-- The stream to which events of this outbox were published last; no row if none ever was. Relays of older versions have
-- noted "noop", which is no broker, for events that they only logged.
(select broker, stream from outbox.positions where broker <> 'noop' order by id desc limit 1)
union all
(select broker, stream from outbox.receipts where broker <> 'noop' order by id desc limit 1)
limit 1
