package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisStream is the key of the stream of every measurement.
const redisStream = "outbox-bench"

// redisScripts is where the publisher has its scripts, seen from this program's folder, in which `make bench` runs it.
const redisScripts = "../publishers/redisstream/lua"

// redisServer is a Redis, and the way in which it recognises events that it has.
type redisServer struct {
	way  string // "script" or "IDMP"
	url  string
	pid  int
	file string   // the script of the way
	keys []string // that the script is given, besides the stream
}

// redisServers returns those that were named.
func (l *lab) redisServers() []redisServer {
	all := []redisServer{
		{way: "script", url: l.o.redis, pid: l.redisPID, file: "hash.lua", keys: []string{":gate", ":ids", ":older"}},
		{way: "IDMP", url: l.o.redisIDMP, pid: l.redisIDMPPID, file: "idmp.lua", keys: []string{":gate"}},
	}
	return slices.DeleteFunc(all, func(s redisServer) bool { return s.url == "" })
}

func (s redisServer) connect() (*redis.Client, error) {
	cfg, err := redis.ParseURL(s.url)
	if err != nil {
		return nil, fmt.Errorf("the URL of the Redis with %s: %w", s.way, err)
	}
	cfg.MaxRetries = -1 // a second try could store events twice
	cfg.ReadTimeout = time.Minute
	return redis.NewClient(cfg), nil
}

func redisVersion(ctx context.Context, url string) (string, error) {
	client, err := redisServer{url: url}.connect()
	if err != nil {
		return "", err
	}
	defer func() { _ = client.Close() }() // nothing is in flight
	info, err := client.InfoMap(ctx, "server").Result()
	if err != nil {
		return "", fmt.Errorf("ask Redis for its version: %w", err)
	}
	return info["Server"]["redis_version"], nil
}

// emptyRedis removes everything that begins with the stream's name, braces apart, and has the server give back the memory and the disk that
// it took. Otherwise whoever comes soon after would find the memory still there, while for the others the server has to ask the system for
// each page again, some 70,000 of them for 500,000 events; and it would go on freeing while they work.
func emptyRedis(ctx context.Context, client *redis.Client) error {
	keys, err := client.Keys(ctx, "*"+redisStream+"*").Result()
	if err != nil {
		return err
	}
	if len(keys) > 0 {
		if err := client.Del(ctx, keys...).Err(); err != nil {
			return fmt.Errorf("remove the stream: %w", err)
		}
	}
	if err := client.Do(ctx, "MEMORY", "PURGE").Err(); err != nil {
		return fmt.Errorf("have Redis give memory back: %w", err)
	}
	return emptyRedisFile(ctx, client)
}

// emptyRedisFile returns when the append-only file, which takes some 600 bytes for an event, is written anew.
func emptyRedisFile(ctx context.Context, client *redis.Client) error {
	for asked := false; ; {
		info, err := client.InfoMap(ctx, "persistence").Result()
		if err != nil {
			return fmt.Errorf("ask Redis for its append-only file: %w", err)
		}
		state := info["Persistence"]
		switch busy := state["aof_rewrite_in_progress"] == "1" || state["aof_rewrite_scheduled"] == "1"; {
		case state["aof_enabled"] != "1", asked && !busy:
			return nil
		case !busy:
			if err := client.BgRewriteAOF(ctx).Err(); err != nil {
				return fmt.Errorf("have Redis write its append-only file anew: %w", err)
			}
			asked = true
		}
		if !sleep(ctx, settleLook) {
			return ctx.Err()
		}
	}
}

// The parts in which the publisher sends events, and how many it sends without waiting.
const (
	redisPart   = 512
	redisWindow = 16
)

// rawRedis is the least that a program can do which stores these events with the publisher's own script: it sends the same parts, in
// windows as large, and looks at nothing but errors.
func (l *lab) rawRedis(ctx context.Context, server redisServer, w workload) (sample, error) {
	values, err := l.rawToRedis(ctx, server, w, w.outOfNothing())
	return withoutPostgres(values), err
}

// rawRedisRows does so with the events of the table.
func (l *lab) rawRedisRows(ctx context.Context, server redisServer, w workload) (sample, error) {
	if err := l.fillTable(ctx, w); err != nil {
		return nil, err
	}
	return l.rawToRedis(ctx, server, w, l.fromTable(ctx))
}

func (l *lab) rawToRedis(ctx context.Context, server redisServer, w workload, events rawEvents) (sample, error) {
	client, err := server.connect()
	if err != nil {
		return nil, err
	}
	defer func() { _ = client.Close() }() // nothing is in flight
	if err := emptyRedis(ctx, client); err != nil {
		return nil, err
	}
	text, err := server.script()
	if err != nil {
		return nil, err
	}
	sha, err := client.ScriptLoad(ctx, text).Result()
	if err != nil {
		return nil, fmt.Errorf("load the script: %w", err)
	}
	before, began := l.usageOf(os.Getpid(), server.pid), time.Now()
	if err := server.sendAll(ctx, client, sha, w.run, events); err != nil {
		return nil, err
	}
	took := time.Since(began)
	used := l.usageOf(os.Getpid(), server.pid).perEvent(before, w.events)
	if err := proveRedis(ctx, client, w); err != nil {
		return nil, err
	}
	return merge(used, sample{drained.name: float64(w.events) / took.Seconds()}), nil
}

// script puts the publisher's script together, as the publisher does.
func (s redisServer) script() (string, error) {
	var text strings.Builder
	for _, name := range []string{"try.lua", "stream.lua", s.file, "append.lua"} {
		part, err := os.ReadFile(filepath.Join(redisScripts, name))
		if err != nil {
			return "", fmt.Errorf("read the publisher's script: %w; run the benchmark in the folder bench of the repository", err)
		}
		text.Write(part)
	}
	return text.String(), nil
}

// sendAll makes the next window while the server works on one.
func (s redisServer) sendAll(ctx context.Context, client *redis.Client, sha, run string, events rawEvents) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	windows, made := make(chan redis.Pipeliner, 1), make(chan error, 1)
	go func() {
		defer close(windows)
		made <- s.makeWindows(ctx, client, sha, run, events, windows)
	}()
	for pipe := range windows {
		if err := sendWindow(ctx, pipe); err != nil {
			return err
		}
	}
	return <-made
}

func (s redisServer) makeWindows(ctx context.Context, client *redis.Client, sha, run string, events rawEvents, out chan<- redis.Pipeliner) error {
	hand := func(pipe redis.Pipeliner) error {
		select {
		case out <- pipe:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	pipe, args, part := client.Pipeline(), s.newPart(sha, run), 0
	for event, err := range events {
		if err != nil {
			return err
		}
		args = append(args, event.id, event.subject, event.key, "{}", event.payload, event.created, event.seq)
		if part++; part < redisPart {
			continue
		}
		pipe.Do(ctx, args...)
		args, part = s.newPart(sha, run), 0
		if pipe.Len() < redisWindow {
			continue
		}
		if err := hand(pipe); err != nil {
			return err
		}
		pipe = client.Pipeline()
	}
	if part > 0 {
		pipe.Do(ctx, args...)
	}
	if pipe.Len() == 0 {
		return nil
	}
	return hand(pipe)
}

// newPart returns the arguments before those of the events.
func (s redisServer) newPart(sha, run string) []any {
	const window, remembered, fields = 120_000, 1 << 19, 7 // the publisher's defaults
	args := append(make([]any, 0, 16+fields*redisPart), "EVALSHA", sha, 1+len(s.keys), redisStream)
	for _, suffix := range s.keys {
		args = append(args, "{"+redisStream+"}"+suffix)
	}
	return append(args, "", "1", window, remembered, 0, 0, run, "", "0-0")
}

func sendWindow(ctx context.Context, pipe redis.Pipeliner) error {
	answers, err := pipe.Exec(ctx)
	for _, each := range answers {
		text, _ := each.(*redis.Cmd).Text() // what it is not is in err
		if _, why, stopped := strings.Cut(text, "!"); stopped && err == nil {
			err = fmt.Errorf("the script stopped: %s; is it called as redisstream calls it?", why)
		}
	}
	return err
}

// proveRedis fails unless the stream holds every event of the workload once, and those of each key in the order of their ids.
func proveRedis(ctx context.Context, client *redis.Client, w workload) error {
	const page = 2000
	seen, last := make([]bool, w.events), make(map[string]int64)
	found := 0
	for from := "-"; ; {
		entries, err := client.XRangeN(ctx, redisStream, from, "+", page).Result()
		if err != nil {
			return fmt.Errorf("read the stream back: %w", err)
		}
		for _, each := range entries {
			if err := checkEntry(each.Values, w, seen, last); err != nil {
				return err
			}
			found++
		}
		if len(entries) < page {
			break
		}
		from = "(" + entries[len(entries)-1].ID
	}
	if found != w.events {
		return fmt.Errorf("the stream holds %d events instead of %d", found, w.events)
	}
	return nil
}

func checkEntry(fields map[string]any, w workload, seen []bool, last map[string]int64) error {
	id, _ := fields["event_id"].(string)
	number, err := w.number(id)
	if err != nil {
		return err
	}
	if seen[number] {
		return fmt.Errorf("event %d is stored twice", number)
	}
	seen[number] = true
	key, _ := fields["key"].(string)
	text, _ := fields["seq"].(string)
	seq, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return fmt.Errorf("event %d has no number in its field seq: %w", number, err)
	}
	if before, known := last[key]; known && seq <= before {
		return fmt.Errorf("key %s: the event with id %d is stored behind the one with id %d", key, seq, before)
	}
	last[key] = seq
	return nil
}
