-- The last id that was drawn, and the highest that a row has.
select (select case when is_called then last_value else last_value - 1 end from outbox.events_id_seq),
       coalesce((select max(id) from outbox.events), 0)
