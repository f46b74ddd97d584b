// Package broker runs a JetStream server inside the process of the demo, the same code as nats-server, and reads a stream
// of it as a client of its own. The server can be stopped and started again on the same port and the same files, which is
// what an outage is. Where a Redis server is given, the package reads the stream that stands in for JetStream there.
package broker
