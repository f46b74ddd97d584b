-- Why writers cannot wake the relay whose connection names process $1 of the server; null if they can.
select case
    when pg_backend_pid() <> $1::bigint then 'a pooler between the relay and the server gives its sessions to others too'
    when not has_sequence_privilege('outbox.waker', 'update')
        then format('role %I may not set outbox.waker; as the owner of the schema, run: select outbox.grant_relay(%L)',
                    current_user, quote_ident(current_user))
    when current_setting('max_prepared_transactions') <> '0'
        then 'max_prepared_transactions is not 0, and a transaction that notifies cannot be prepared'
    when not exists (select from pg_catalog.pg_trigger
                     where tgrelid = 'outbox.events'::regclass and tgfoid = to_regproc('outbox.ring') and tgenabled in ('O', 'A'))
        then 'the trigger ring on outbox.events is missing or disabled'
    when pg_notification_queue_usage() >= 0.5 then 'the queue of notifications is half full: somebody listens and does not read'
end
