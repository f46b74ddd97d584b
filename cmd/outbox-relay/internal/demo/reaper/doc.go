// Package reaper cleans up after a demo that had no chance to do so itself: kill -9, a crash, a broken pipe.
//
// The reaper is a small shell script in a process group of its own, so that Ctrl-C does not reach it. It reads from a pipe
// whose other end only the demo holds, and learns from it what there is to clean up. When the demo ends, however it ends,
// the kernel closes the pipe: the script then stops the Postgres, removes the container and removes the directory. A demo
// that cleaned up itself releases the reaper first. This works alike on Linux and macOS, and for containers too, where no
// signal could.
package reaper
