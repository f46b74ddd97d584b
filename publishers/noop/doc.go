// Package noop is the publisher for development without a broker. It writes each event to the log
// and stores nothing: the events stay in Postgres, and are published once a broker is configured.
// It is chosen only where no broker is configured, never because one failed.
package noop
