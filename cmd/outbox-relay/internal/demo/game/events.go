package game

import (
	"fmt"
	"strconv"
	"time"

	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/account"
	"github.com/gameoutbox/relay/outbox"
)

// Fact is what every event of the game carries.
type Fact struct {
	// ID is the event's id, in the database and in the stream.
	ID outbox.ID `json:"event_id"`
	// PlayerID is whose event it is.
	PlayerID int `json:"player_id"`
	// Seq is the event's place among the committed events of the player, from 1.
	Seq int64 `json:"seq"`
	// Timestamp is when it happened in the game.
	Timestamp time.Time `json:"timestamp"`
}

// EventKey makes the player the ordering key: the events of a player stay in order.
func (f Fact) EventKey() string { return strconv.Itoa(f.PlayerID) }

// EventID makes the event's id known before the transaction ends, so that the account can follow the event.
func (f Fact) EventID() [16]byte { return f.ID }

// Entry is the event as the account knows it.
func (f Fact) Entry() account.Event {
	return account.Event{ID: account.ID(f.ID), Key: f.EventKey(), Seq: f.Seq}
}

// SubjectPrefix is what the subjects of all events of the player start with.
func (f Fact) SubjectPrefix() string { return fmt.Sprintf("game.player.%d.", f.PlayerID) }

// LevelUp tells that a player reached a new level.
type LevelUp struct {
	Fact
	OldLevel int `json:"old_level"`
	NewLevel int `json:"new_level"`
}

// EventName is game.player.<id>.level_up.
func (e LevelUp) EventName() string { return e.SubjectPrefix() + "level_up" }

// Traded tells one of the two sides of a trade what changed for it.
type Traded struct {
	Fact
	PartnerID int   `json:"partner_id"`
	Gold      int64 `json:"gold"` // what the player gained; negative for the one who paid
}

// EventName is game.player.<id>.traded.
func (e Traded) EventName() string { return e.SubjectPrefix() + "traded" }

// MatchWon tells that a player won a match.
type MatchWon struct {
	Fact
	OpponentID int `json:"opponent_id"`
	Wins       int `json:"wins"`
}

// EventName is game.player.<id>.match_won.
func (e MatchWon) EventName() string { return e.SubjectPrefix() + "match_won" }
