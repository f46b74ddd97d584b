// Package noop is the publisher for development without a broker. It writes each event to the log and answers that it is
// stored, so that the relay removes it: nothing is published. It is chosen only where no broker is configured, never because one
// failed.
package noop
