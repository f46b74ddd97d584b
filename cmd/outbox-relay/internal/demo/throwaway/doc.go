// Package throwaway provides a Postgres that lives as long as a demo does. [Start] takes the first that can be had:
//
//   - the server of a given URL, in which it creates a database of its own and drops it in the end;
//   - the server programs installed on this machine, with a data directory of their own. They refuse to run as root, so a
//     demo that was started as root runs them as the user postgres or nobody;
//   - a Docker container.
//
// The last two listen on a free port of 127.0.0.1 only and want a random password: the database's superuser may run
// programs, so nobody else on the machine gets in. They end with the demo even where it is killed, see package reaper.
package throwaway
