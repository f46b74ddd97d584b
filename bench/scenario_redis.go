package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisScenario compares the path to Redis with its own limit.
func (l *lab) redisScenario() scenario {
	events := pick(l.o.quick, 500_000, 200_000)
	w := newWorkload(events, drainSize, manyKeys)
	s := scenario{
		name: "redis", title: "Drain of a backlog to Redis", passes: pick(l.o.quick, 11, 2), columns: append([]column{drained}, costs...),
		about: countOf(events) + " events of 256 B with 1,000 keys. Raw: the same events by the same script from a bare client, out of nothing or read from the table. Redis writes its append-only file " +
			"once a second. Before 8.6 (XADD IDMP) the script itself remembers the ids.",
	}
	for _, server := range l.redisServers() {
		limit := redisCase("raw", server)
		s.cases = append(s.cases,
			testCase{name: limit, run: func(ctx context.Context) (sample, error) { return l.rawRedis(ctx, server, w) }},
			testCase{name: redisCase("relay, retention 5 minutes", server), against: limit, run: func(ctx context.Context) (sample, error) {
				return l.drainToRedis(ctx, server, w)
			}},
			testCase{name: redisCase("raw, rows of the table", server), against: limit, passes: 5, run: func(ctx context.Context) (sample, error) {
				return l.rawRedisRows(ctx, server, w)
			}},
		)
	}
	return s
}

func redisCase(what string, server redisServer) string { return what + " (" + server.way + ")" }

// drainToRedis is drain with Redis as the broker.
func (l *lab) drainToRedis(ctx context.Context, server redisServer, w workload) (values sample, err error) {
	client, err := server.connect()
	if err != nil {
		return nil, err
	}
	defer func() { _ = client.Close() }() // nothing is in flight
	c := &theRelay{label: "relay", retention: defaultRetention, redis: server.url}
	if err := errors.Join(emptyRedis(ctx, client), c.empty(ctx, l)); err != nil {
		return nil, err
	}
	p, err := c.start(ctx, l)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	used := func() usage { return l.usageOf(p.pid(), server.pid) }
	start, err := l.release(ctx, c, w, 0, w.events, used)
	if err != nil {
		return nil, err
	}
	if err := waitStored(ctx, p, w.events, func(ctx context.Context) (int, error) { return lengthOf(ctx, client) }); err != nil {
		return nil, err
	}
	if err := waitSettled(ctx, l, c, p, start.end); err != nil {
		return nil, err
	}
	took := time.Since(start.at)
	costs := used().perEvent(start.used, w.events)
	return merge(costs, sample{drained.name: float64(w.events) / took.Seconds()}), proveRedis(ctx, client, w)
}

func lengthOf(ctx context.Context, client *redis.Client) (int, error) {
	n, err := client.XLen(ctx, redisStream).Result()
	if err != nil {
		return 0, fmt.Errorf("ask Redis for the length of the stream: %w", err)
	}
	return int(n), nil
}
