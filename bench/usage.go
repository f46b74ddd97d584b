package main

import "time"

// usage is the CPU time that each party has used up to a moment, by the name of its column. A party whose time cannot be read is
// missing.
type usage map[string]time.Duration

// usageOf reads what a process, Postgres and a broker have used.
func (l *lab) usageOf(pid, brokerPID int) usage {
	u := usage{}
	if used, err := processTime(pid); err == nil {
		u[ownCPU.name] = used
	}
	for column, root := range map[string]int{postgres.name: l.postgresPID, broker.name: brokerPID} {
		if root == 0 {
			continue
		}
		if used, err := treeTime(root); err == nil {
			u[column] = used
		}
	}
	return u
}

// perEvent returns what each party has used since before, in microseconds an event, and their sum.
func (u usage) perEvent(before usage, events int) sample {
	s, sum := sample{}, 0.0
	for name, used := range u {
		if earlier, ok := before[name]; ok {
			s[name] = float64((used - earlier).Nanoseconds()) / 1e3 / float64(events)
			sum += s[name]
		}
	}
	if len(s) == len(costs)-1 {
		s[allCPU.name] = sum
	}
	return s
}
