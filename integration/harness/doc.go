// Package harness gives tests real servers: Postgres, NATS and Redis in containers, and the means to stop, kill, freeze and
// cut them off.
//
// There are two ways to get a server. A shared one is started at the first call in a test process and serves all its
// tests, so a test pays for a database or a stream, not for a server: [Postgres], [EmptyPostgres], [NATS], [Redis]. A server of
// the test's own may be broken at will and goes away with the test: [StartPostgres], [StartNATS], [StartNATSCluster],
// [StartRedis]. [StartProxy] stands between a client and a server and breaks the network between them.
//
// A package that uses the harness runs its tests through [Main], which removes the shared servers at the end:
//
//	func TestMain(m *testing.M) { harness.Main(m) }
//
// # Images
//
// deploy/images/image.sh finds, pulls or builds the images; its head says in which order and which variables choose others.
// OUTBOX_TEST_POSTGRES_VERSION (14 to 18, default 17) picks the Postgres that all tests use.
//
// # What a killed run leaves behind
//
// Every container and network is labelled with a file that its process holds locked. The lock dies with the process, however it
// dies, and the next run removes whatever is labelled with a file that it can lock. Testcontainers' own
// reaper does the same from a container of another image; it is switched off, so that no further image is needed.
//
// A test without Docker fails and says what to install. It is never skipped.
package harness
