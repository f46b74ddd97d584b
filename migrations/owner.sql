-- The owner of schema outbox where the role that migrates must not trust it; no row otherwise.
--
-- The owner may drop the schema with all that it holds. Trusted is who could do that anyway, a
-- superuser and the owner of the database, and the migrating role with the roles that it belongs to. A
-- superuser counts as a member of every role in pg_has_role(), so the memberships are read here. Those
-- with the admin option alone, which Postgres 16 gives to who creates a role, do not count.
--
-- A schema that was migrated before is left alone where outbox.schema_version belongs to a trusted role.
with recursive own as (
    select oid from pg_roles where rolname = current_user
    union
    select membership.roleid
    from pg_auth_members as membership
    join own on own.oid = membership.member
    where coalesce((to_jsonb(membership) ->> 'inherit_option')::boolean or (to_jsonb(membership) ->> 'set_option')::boolean, true)
), trusted as (
    select oid from own
    union
    select oid from pg_roles where rolsuper or rolname = 'pg_database_owner'
    union
    select datdba from pg_database where datname = current_database()
)
select owner.rolname
from pg_namespace as schema
join pg_roles as owner on owner.oid = schema.nspowner
where schema.nspname = 'outbox'
  and schema.nspowner not in (select oid from trusted)
  and not ($1::boolean and exists (
      select from pg_class
      where relnamespace = schema.oid and relname = 'schema_version' and relowner in (select oid from trusted)
  ))
