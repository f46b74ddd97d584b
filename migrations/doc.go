// Package migrations creates and changes the schema "outbox" in Postgres 14 to 18: the tables of events and of dead letters,
// the functions to write an event, and the functions that grant rights.
//
// The SQL lies in sql/, one file a version, and is embedded in the binary. Goose applies it and keeps the version in its own
// table, outbox.schema_version, so that a service which uses goose itself is not disturbed.
//
//	steps, err := migrations.Up(ctx, db)
//
// # Many at once
//
// Any number of relays may call [Up] at the same moment: one migrates, the others wait and find nothing left to do. The lock is an
// advisory lock of the session, so migrate through a direct connection and not through a pooler in transaction mode.
//
// # Promises
//
// [Up] never removes or rewrites data, and takes no lock on outbox.events that a writer would wait for. [Down] undoes one
// version, and refuses to drop a table that holds rows unless it is told to.
//
// # Rights
//
// The role that migrates owns what it creates. It needs the right to create a schema in the database, or a schema
// "outbox" that already belongs to it. [Up] refuses a schema of another role, unless the migrating role
// belongs to that role, or it is a superuser or the owner of the database. Game services and the
// relay need no such right: see the SQL functions
// outbox.grant_writer and outbox.grant_relay.
package migrations
