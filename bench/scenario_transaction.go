package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gameoutbox/relay/outbox"
)

var (
	transactions = column{name: "transactions", unit: "1/s"}
	players      = 10_000 // rows that the transactions update
)

// perTransaction is a cost by the transaction, each of which writes one event.
func perTransaction(cost column) column {
	cost.unit = "µs/transaction"
	return cost
}

// writing is a business transaction with its surroundings.
type writing struct {
	name    string
	event   bool // it writes an event too
	own     bool // the triggers of the schema are active
	notify  bool // a trigger notifies at each insert
	relayed bool // a relay runs beside it
}

// mostClients is the number of clients that the goals speak of.
const mostClients = 32

// plainWriting is what the others are compared with.
const plainWriting = "event, no trigger"

// writings are the cases, for each number of clients. Where the schema has no trigger on the table of events, those with own are left
// out: they are what the doorbell costs.
var writings = []writing{
	{name: "no event"},
	{name: plainWriting, event: true},
	{name: "event, doorbell", event: true, own: true},
	{name: "event, always NOTIFY", event: true, notify: true},
	{name: "event, no trigger, relay running", event: true, relayed: true},
	{name: "event, doorbell, relay running", event: true, own: true, relayed: true},
}

func (l *lab) transactionScenario() scenario {
	lasting := pick(l.o.quick, 3*time.Second, 2*time.Second)
	s := scenario{
		name: "transaction", title: "What the business transaction pays", passes: pick(l.o.quick, 9, 2), columns: []column{transactions, p50, p99, perTransaction(ownCPU), perTransaction(postgres), perTransaction(broker)},
		about: fmt.Sprintf("BEGIN, UPDATE of one of 10,000 rows, an event of 256 B by the Go library, COMMIT, for %s; the clients share the machine with the servers. ", lasting) +
			"With a relay, its publishing takes its share of the two cores too.",
	}
	rung, err := l.hasDoorbell(context.Background())
	for _, clients := range pick(l.o.quick, []int{1, 8, mostClients}, []int{mostClients}) {
		for _, each := range writings {
			if each.own && !rung && err == nil {
				continue
			}
			against := writingCase(clients, plainWriting)
			if each.name == plainWriting {
				against = ""
			}
			passes := pick(clients == mostClients && each.event && !each.notify, 3, s.passes) // all of them for what the goals speak of
			s.cases = append(s.cases, testCase{name: writingCase(clients, each.name), passes: passes, against: against, run: func(ctx context.Context) (sample, error) {
				return l.write(ctx, each, clients, lasting)
			}})
		}
	}
	s.plots = []plotting{bars("transaction.svg", "Business transactions, 1/s", transactions)}
	return s
}

func writingCase(clients int, name string) string {
	if clients == 1 {
		return "1 client: " + name
	}
	return strconv.Itoa(clients) + " clients: " + name
}

// hasDoorbell tells whether the schema has triggers on the table of events.
func (l *lab) hasDoorbell(ctx context.Context) (bool, error) {
	return l.asks(ctx, "select exists (select from pg_trigger where tgrelid = 'outbox.events'::regclass and not tgisinternal)")
}

// write measures one case.
func (l *lab) write(ctx context.Context, kind writing, clients int, lasting time.Duration) (values sample, err error) {
	if err := l.prepareWriting(ctx, kind); err != nil {
		return nil, fmt.Errorf("prepare the tables: %w", err)
	}
	defer func() { err = errors.Join(err, l.restoreTriggers(ctx)) }()
	pid := 0
	if kind.relayed {
		if _, err := l.freshStream(ctx); err != nil {
			return nil, err
		}
		p, err := relayRetaining.start(ctx, l)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, p.stop()) }()
		pid = p.pid()
	}
	return l.writeFor(ctx, kind, clients, lasting, pid)
}

func (l *lab) prepareWriting(ctx context.Context, kind writing) error {
	if err := relayRetaining.empty(ctx, l); err != nil {
		return err
	}
	statements := `create table if not exists players (id int primary key, level int not null);
		truncate players;
		insert into players select i, 1 from generate_series(1, ` + strconv.Itoa(players) + `) as i;
		alter table outbox.events disable trigger user;`
	if kind.own {
		statements += "alter table outbox.events enable trigger user;"
	}
	if kind.notify {
		statements += `create or replace function bench_notify() returns trigger language plpgsql as
				$$ begin perform pg_notify('bench', ''); return null; end $$;
			create trigger bench_notify after insert on outbox.events for each statement execute function bench_notify();`
	}
	if _, err := l.pool.Exec(ctx, statements); err != nil {
		return err
	}
	return l.checkpoint(ctx)
}

func (l *lab) restoreTriggers(ctx context.Context) error {
	_, err := l.pool.Exec(ctx, "drop trigger if exists bench_notify on outbox.events; alter table outbox.events enable trigger user")
	if err != nil {
		return fmt.Errorf("put the triggers back: %w", err)
	}
	return nil
}

// writeFor lets clients write for a while, and returns the rate and how long a transaction took.
func (l *lab) writeFor(ctx context.Context, kind writing, clients int, lasting time.Duration, relayPID int) (sample, error) {
	conns, disconnect, err := l.openClients(ctx, clients)
	defer disconnect()
	if err != nil {
		return nil, err
	}
	took, failed := make([][]time.Duration, clients), make([]error, clients)
	before, began := l.usageOf(relayPID, l.natsPID), time.Now()
	var group sync.WaitGroup
	for i := range conns {
		group.Go(func() { took[i], failed[i] = writeUntil(ctx, conns[i], kind, began.Add(lasting)) })
	}
	group.Wait()
	lasted, after := time.Since(began), l.usageOf(relayPID, l.natsPID)
	all := slices.Concat(took...)
	if err := errors.Join(failed...); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errors.New("no transaction was done")
	}
	slices.Sort(all)
	at := func(q float64) float64 { return all[int(q*float64(len(all)))].Seconds() * 1000 }
	values := sample{transactions.name: float64(len(all)) / lasted.Seconds(), p50.name: at(0.5), p99.name: at(0.99)}
	cost := after.perEvent(before, len(all))
	if relayPID == 0 {
		delete(cost, broker.name) // it had nothing to do
	}
	return merge(values, cost), nil
}

// openClients returns a connection for each client, and what closes them, also after an error.
func (l *lab) openClients(ctx context.Context, clients int) (conns []*pgx.Conn, disconnect func(), err error) {
	disconnect = func() {
		for _, each := range conns {
			_ = each.Close(ctx) // nothing is in flight
		}
	}
	for len(conns) < clients {
		conn, err := pgx.Connect(ctx, l.url)
		if err != nil {
			return conns, disconnect, fmt.Errorf("connect client %d: %w; max_connections of the server must allow for %d", len(conns)+1, err, clients+20)
		}
		conns = append(conns, conn)
	}
	return conns, disconnect, nil
}

// writeUntil returns how long each transaction took.
func writeUntil(ctx context.Context, conn *pgx.Conn, kind writing, until time.Time) ([]time.Duration, error) {
	var took []time.Duration
	payload := make([]byte, drainSize)
	for began := time.Now(); began.Before(until); {
		if err := writeOnce(ctx, conn, kind, payload); err != nil {
			return took, fmt.Errorf("a business transaction failed: %w", err)
		}
		now := time.Now()
		took, began = append(took, now.Sub(began)), now
	}
	return took, nil
}

func writeOnce(ctx context.Context, conn *pgx.Conn, kind writing, payload []byte) error {
	player := rand.IntN(players) + 1 //nolint:gosec // a die, not a secret
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "update players set level = level + 1 where id = $1", player); err != nil || !kind.event {
			return err
		}
		key := strconv.Itoa(player)
		return outbox.Publish(ctx, tx, outbox.Raw{Subject: "game.player." + key + ".level_up", Key: key, Payload: payload})
	})
}
