package demo

import (
	"fmt"
	"sync"

	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/display"
)

// screen is the display, for many goroutines.
type screen struct {
	mu      sync.Mutex
	display display.Display
}

func newScreen(o Options) *screen {
	if o.Terminal {
		return &screen{display: display.NewTable(o.Out)}
	}
	return &screen{display: display.NewLines(o.Out)}
}

// say prints a line that stays.
func (s *screen) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.display.Say(fmt.Sprintf(format, args...))
}

func (s *screen) finish(v display.View) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.display.Finish(v)
}

func (s *screen) show(v display.View) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.display.Show(v)
}
