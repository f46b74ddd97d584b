package harness

import "testing"

// Disk is the file system on which one server keeps its data.
type Disk struct{ keeper *Server }

// StartNATSOnDisk starts a NATS server of the test's own with a small disk, of a size such as "24m".
func StartNATSOnDisk(tb testing.TB, size string, options NATSOptions) (*Server, *Disk) {
	tb.Helper()
	r := natsRecipe(options)
	r.disk = size
	server, err := r.start(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	server.own(tb)
	// The image of NATS has no programs. A server beside it has the same disk, and keeps it while NATS is stopped.
	r = redisRecipe(RedisOptions{Plain: true, Args: []string{"--save", "", "--appendonly", "no"}})
	r.data, r.beside = "", server.id
	keeper, err := r.start(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return server, &Disk{keeper: keeper.own(tb)}
}

// Fill leaves no room on the disk.
func (d *Disk) Fill() {
	d.keeper.tb.Helper()
	d.keeper.Exec("sh", "-c", "dd if=/dev/zero of=/data/fill bs=64k 2>/dev/null; dd if=/dev/zero of=/data/fill2 bs=1k 2>/dev/null; true")
}

// Free makes room again.
func (d *Disk) Free() {
	d.keeper.tb.Helper()
	d.keeper.Exec("rm", "/data/fill", "/data/fill2")
}
