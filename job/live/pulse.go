package live

import (
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
		fmt.Fprintf(w, "no progress for %s, and %s is the most that a run needs: it hangs in: %s. Start it again; it goes on from its newest checkpoint\n",
			still.Round(time.Second), limit, doing)
	}
}
