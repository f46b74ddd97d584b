-- The last id that was drawn, and the highest that a row has, but for those of bury_unreachable.sql.
select (select case when is_called then last_value else last_value - 1 end from outbox.events_id_seq),
       coalesce((select max(id) from outbox.events where id <= 4611686018427387903), 0)
