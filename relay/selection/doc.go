// Package selection names a part of the events, or of the dead letters, for the commands that work on them: by id, event id,
// subject, key, time and reason. One condition in SQL stands for all of that.
package selection
