package game

import (
	"math/rand/v2"
	"time"

	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/account"
	"github.com/gameoutbox/relay/outbox"
)

// player is a row of demo_game.players that the transaction has locked.
type player struct {
	ID     int
	Level  int
	Gold   int64
	Wins   int
	Events int64
}

// fact starts the next event of the player.
func (p *player) fact() Fact {
	p.Events++
	return Fact{ID: outbox.NewID(), PlayerID: p.ID, Seq: p.Events, Timestamp: time.Now().UTC()}
}

// happening is an event of the game.
type happening interface {
	outbox.Event
	EventKey() string
	Entry() account.Event
}

// move is something that players do. It changes them and returns the events that tell of it.
type move struct {
	players int // how many take part
	events  int // how many events it makes
	play    func(players []*player) []happening
}

var (
	levelUp  = move{players: 1, events: 1, play: playLevelUp}
	quest    = move{players: 1, events: 3, play: playQuest}
	trade    = move{players: 2, events: 2, play: playTrade}
	winMatch = move{players: 2, events: 1, play: playMatch}
)

// anyMove draws a move: most are level-ups.
func anyMove() move {
	switch n := rand.IntN(10); {
	case n < 4:
		return levelUp
	case n < 6:
		return quest
	case n < 8:
		return trade
	default:
		return winMatch
	}
}

func playLevelUp(players []*player) []happening {
	p := players[0]
	p.Level++
	return []happening{LevelUp{Fact: p.fact(), OldLevel: p.Level - 1, NewLevel: p.Level}}
}

// playQuest is worth three levels: three events of one player in one transaction.
func playQuest(players []*player) []happening {
	var happenings []happening
	for range 3 {
		happenings = append(happenings, playLevelUp(players)...)
	}
	return happenings
}

func playTrade(players []*player) []happening {
	seller, buyer := players[0], players[1]
	price := rand.Int64N(100) + 1
	seller.Gold += price
	buyer.Gold -= price
	return []happening{
		Traded{Fact: seller.fact(), PartnerID: buyer.ID, Gold: price},
		Traded{Fact: buyer.fact(), PartnerID: seller.ID, Gold: -price},
	}
}

func playMatch(players []*player) []happening {
	winner, loser := players[0], players[1]
	winner.Wins++
	return []happening{MatchWon{Fact: winner.fact(), OpponentID: loser.ID, Wins: winner.Wins}}
}
