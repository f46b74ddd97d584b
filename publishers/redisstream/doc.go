// Package redisstream publishes events to a Redis Stream.
package redisstream
