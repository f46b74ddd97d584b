-- The last id that was drawn, and the highest that is in use: by a row, or by a receipt of the last ones written.
select (select case when is_called then last_value else last_value - 1 end from outbox.events_id_seq),
       greatest((select max(id) from outbox.events),
                (select max(upper(ids)) - 1 from (select ids from outbox.receipts order by id desc limit 100) as last_receipts),
                0)
