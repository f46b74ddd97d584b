-- Which settings of the session the relay cannot work with. On a session of its own it has set them, see session.sql; behind a pooler
-- they are those of the role.
select name, current_setting(seen) as value, wanted, quote_ident(session_user) as role, quote_ident(current_database()) as database
from (values
    ('transaction_isolation', 'default_transaction_isolation', 'read committed'),
    ('transaction_read_only', 'default_transaction_read_only', 'off'),
    ('client_encoding', 'client_encoding', 'UTF8')
) as setting (seen, name, wanted)
where current_setting(seen) <> wanted
