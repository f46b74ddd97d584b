package broker

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gameoutbox/relay/publishers/redisstream"
)

// errRedisURL does not show the URL, which may hold a password.
var errRedisURL = errors.New("--redis-url is not a URL such as redis://localhost:6379/0")

// CheckRedisURL tells whether a URL names a Redis server.
func CheckRedisURL(url string) error {
	if _, err := redis.ParseURL(url); err != nil {
		return errRedisURL
	}
	return nil
}

// Fallback is a Redis Stream of the demo's own, on a server that was given, and a client that reads it from its beginning.
type Fallback struct {
	// Config are the settings by which the relay finds the stream.
	Config redisstream.Config
	// Version is what the server calls itself.
	Version string

	client  *redis.Client
	deliver func(Delivery)
	cancel  context.CancelFunc
	reading sync.WaitGroup

	mu   sync.Mutex
	read int64
	err  error // of the last try to read
}

// OpenFallback connects to the server at url, and calls deliver for each event of the stream, one at a time. The stream is not there
// before the relay makes it.
func OpenFallback(ctx context.Context, url string, deliver func(Delivery)) (*Fallback, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, errRedisURL
	}
	f := &Fallback{deliver: deliver}
	if f.Config, err = fallbackConfig(options); err != nil {
		return nil, err
	}
	f.client = redis.NewClient(options)
	if f.Version, err = serverVersion(ctx, f.client); err != nil {
		_ = f.client.Close()
		return nil, fmt.Errorf("the Redis server of --redis-url: %w", err)
	}
	running, cancel := context.WithCancel(context.Background())
	f.cancel = cancel
	f.reading.Go(func() { f.run(running) })
	return f, nil
}

// fallbackConfig returns the settings for the server, with a stream that nobody else has.
func fallbackConfig(options *redis.Options) (cfg redisstream.Config, err error) {
	cfg = redisstream.DefaultConfig()
	cfg.Stream = "outbox_demo:" + rand.Text()[:12]
	cfg.Username, cfg.Password, cfg.DB = options.Username, options.Password, options.DB
	cfg.TLS.Enabled = options.TLSConfig != (*tls.Config)(nil)
	host, port, err := net.SplitHostPort(options.Addr)
	if err != nil {
		return cfg, errRedisURL
	}
	cfg.Host = host
	if cfg.Port, err = strconv.Atoi(port); err != nil {
		return cfg, errRedisURL
	}
	return cfg, nil
}

func serverVersion(ctx context.Context, client *redis.Client) (string, error) {
	info, err := client.InfoMap(ctx, "server").Result()
	if err != nil {
		return "", err
	}
	return info["Server"]["redis_version"], nil
}

// run reads until ctx ends. While the server is away, or the stream is not there, it tries again.
func (f *Fallback) run(ctx context.Context) {
	const pause = 100 * time.Millisecond
	last := "0"
	for ctx.Err() == nil {
		streams, err := f.client.XRead(ctx, &redis.XReadArgs{Streams: []string{f.Config.Stream, last}, Count: 1000, Block: pause}).Result()
		if errors.Is(err, redis.Nil) {
			err = nil
		}
		f.note(0, err)
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
			continue
		}
		for _, stream := range streams {
			for _, entry := range stream.Messages {
				f.hand(entry)
				last = entry.ID
			}
		}
	}
}

func (f *Fallback) hand(entry redis.XMessage) {
	text := func(name string) string { value, _ := entry.Values[name].(string); return value }
	f.deliver(Delivery{
		EventID: text("event_id"), Key: text("key"), Subject: text("subject"), Data: []byte(text("payload")), At: time.Now(),
	})
	f.note(1, nil)
}

func (f *Fallback) note(read int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read, f.err = f.read+read, err
}

// CaughtUp waits until everything that the stream holds now has been delivered.
func (f *Fallback) CaughtUp(ctx context.Context) error {
	holds, err := f.client.XLen(ctx, f.Config.Stream).Result()
	if err != nil {
		return fmt.Errorf("consumer of Redis: %w", err)
	}
	for {
		f.mu.Lock()
		read, err := f.read, f.err
		f.mu.Unlock()
		if read >= holds {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the consumer of Redis is at %d of %d events: %w", read, holds, errors.Join(context.Cause(ctx), err))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Remove ends the client and removes the stream, with everything that the relay keeps beside it. What is not removed here expires.
func (f *Fallback) Remove(ctx context.Context) error {
	f.cancel()
	f.reading.Wait()
	beside := "{" + f.Config.Stream + "}:outbox:"
	err := f.client.Del(ctx, f.Config.Stream, beside+"ids", beside+"older").Err()
	return errors.Join(err, f.client.Close())
}
