package main

import (
	"context"
	"os"
	"runtime"
	"time"
)

// usage is the CPU time that each party has used up to a moment, by the name of its column. A party whose time cannot be read is
// missing.
type usage map[string]time.Duration

// usageOf reads what a process, Postgres and a broker have used, and for how long the broker's threads had work and no core.
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
	if waited, err := treeWait(brokerPID); err == nil {
		u[brokerWait.name] = waited
	}
	return u
}

// perEvent returns what each party has used since before, in microseconds an event, and the sum if all are known.
func (u usage) perEvent(before usage, events int) sample {
	s := sample{}
	for name, used := range u {
		if earlier, ok := before[name]; ok {
			s[name] = float64((used - earlier).Nanoseconds()) / 1e3 / float64(events)
		}
	}
	sum := 0.0
	for _, party := range []column{ownCPU, postgres, broker} {
		cost, ok := s[party.name]
		if !ok {
			return s
		}
		sum += cost
	}
	s[allCPU.name] = sum
	return s
}

// quietShare is how much of the machine others may use before figures mean little.
const quietShare = 0.05

// others watches what other programs take of the machine meanwhile.
type others struct {
	l     *lab
	all   time.Duration // used by everybody, at the beginning
	known time.Duration // of that, by the servers, this program and what it started
	began time.Time
}

func (l *lab) watchOthers() *others {
	o := &others{l: l, began: time.Now()}
	o.all, o.known = o.used()
	return o
}

func (o *others) used() (all, known time.Duration) {
	all, err := machineTime()
	if err != nil {
		return 0, 0
	}
	for _, root := range []int{os.Getpid(), o.l.postgresPID, o.l.natsPID, o.l.redisPID, o.l.redisIDMPPID} {
		if root == 0 {
			continue
		}
		if used, err := treeTime(root); err == nil {
			known += used
		}
	}
	return all, known
}

// share is the part of all cores that others have used, and the host of a virtual machine has withheld; 0 where it is not known.
func (o *others) share() float64 {
	all, known := o.used()
	busy := (all - o.all) - (known - o.known)
	return max(0, busy.Seconds()/time.Since(o.began).Seconds()/float64(runtime.NumCPU()))
}

// busy returns what others take of the machine while nothing is measured yet.
func (l *lab) busy(ctx context.Context) float64 {
	o := l.watchOthers()
	sleep(ctx, 2*time.Second)
	return o.share()
}
