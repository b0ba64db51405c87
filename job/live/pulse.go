package live

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// pulse tells when the run last moved, and what it does.
func (v *View) pulse(now time.Time) (moved time.Time, doing string) {
	s := v.state()
	if moved = s.moved; moved.IsZero() {
		moved = now
	}
	if at := v.traffic.Load(); at != nil && at.After(moved) {
		moved = *at
	}
	doing = s.doing
	for _, p := range s.phases {
		if p.name == doing {
			doing = fmt.Sprintf("%s, update %d of %d", p.name, p.done, p.total)
		}
	}
	if doing == "" {
		doing = "beginning"
	}
	return moved, doing
}

// hangs is what to say of a run in which nothing has moved for longer than limit.
func hangs(still, limit time.Duration, doing string) error {
	return fmt.Errorf("no progress for %s, and %s is the most that a run needs: it hangs in: %s. Start it again; it goes on from its newest checkpoint",
		still.Round(time.Second), limit, doing)
}

// healthz answers 200 while the run moves and 503 when nothing has moved for longer than limit.
func (v *View) healthz(limit time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		now := time.Now()
		moved, doing := v.pulse(now)
		still := now.Sub(moved)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		if still <= limit {
			fmt.Fprintf(w, "%s; last progress %s ago\n", doing, still.Round(time.Millisecond))
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, hangs(still, limit, doing))
	}
}

// Watch looks at a run so many times within its limit, but no seldomer than often: it is to be sooner than who asks /healthz every minute.
const (
	fewLooks = 60
	often    = 10 * time.Second
)

// Watch returns when nothing has moved for longer than limit, with an error that says where, or when ctx ends. It counts its own looks and not
// the time between them: a process that was suspended for an hour has not hung.
func (v *View) Watch(ctx context.Context, limit time.Duration) error {
	pause := min(limit/fewLooks, often)
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	var last time.Time
	for still := 0; ; still++ {
		moved, doing := v.pulse(last)
		if !moved.Equal(last) {
			still, last = 0, moved
		}
		if silent := time.Duration(still) * pause; silent > limit {
			return hangs(silent, limit, doing)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
