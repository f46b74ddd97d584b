package account

// MarkWaiting returns a channel that is closed as soon as every event that is committed and not received now has been received.
func (a *Account) MarkWaiting() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.marks = append(a.marks, make(chan struct{}))
	a.waiting = append(a.waiting, 0)
	last := len(a.marks) - 1
	a.closeFrom(last)
	return a.marks[last]
}

// arrived notes that a committed event was received that waited until now.
func (a *Account) arrived(en *entry) {
	a.waiting[en.mark]--
	if a.waiting[en.mark] == 0 {
		a.closeFrom(int(en.mark))
	}
}

// closeFrom closes the marks from first on before which nothing waits any more.
func (a *Account) closeFrom(first int) {
	before := 0
	for i, done := range a.marks {
		before += a.waiting[i]
		if before > 0 {
			return
		}
		if i >= first && !isClosed(done) {
			close(done)
		}
	}
}

func isClosed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}
