package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// progress returns when the run last made progress, now if it never did, and what it does.
func (v *View) progress(now time.Time) (moved time.Time, doing string) {
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

// hungError is the error of a run without progress for longer than limit.
func hungError(idle, limit time.Duration, doing string) error {
	return fmt.Errorf("no progress for %s, and %s is the most that a run needs: it hangs in: %s. Start it again; it goes on from its newest checkpoint",
		idle.Round(time.Second), limit, doing)
}

// healthz answers 200, or 503 after more than limit without progress.
func (v *View) healthz(limit time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		now := time.Now()
		moved, doing := v.progress(now)
		idle := now.Sub(moved)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		if idle <= limit {
			fmt.Fprintf(w, "%s; last progress %s ago\n", doing, idle.Round(time.Millisecond))
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, hungError(idle, limit, doing))
	}
}

// Watch polls at limit/60, at most every 10 s, so that the process exits before a one-minute
// liveness probe would kill it.
const (
	pollsPerLimit   = 60
	maxPollInterval = 10 * time.Second
)

// Watch returns after more than limit without progress, with an error that says what the run was
// doing, or when ctx ends. It counts polls and not time: a process that was suspended for an hour
// has not hung.
func (v *View) Watch(ctx context.Context, limit time.Duration) error {
	interval := min(limit/pollsPerLimit, maxPollInterval)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var last time.Time
	for idle := 0; ; idle++ {
		moved, doing := v.progress(last)
		if !moved.Equal(last) {
			idle, last = 0, moved
		}
		if since := time.Duration(idle) * interval; since > limit {
			return hungError(since, limit, doing)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// askTimeout is the longest that Ask waits: less than the timeout of the liveness probe.
const askTimeout = 8 * time.Second

// Ask asks the run that listens on an address, as [net.Listen] takes it, for its health. The error
// is that of a run that hangs, or that does not answer. Where nobody listens, or another program
// does, there is none: a run does not end for its page.
func Ask(ctx context.Context, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "0" {
		return nil // the run chose the port, and only its log names it
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/healthz", nil)
	if err != nil {
		return nil
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy
	answer, err := client.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("%s has not answered for %s", address, askTimeout)
		}
		return nil
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 4096))
	if answer.StatusCode == http.StatusServiceUnavailable {
		return errors.New(strings.TrimSpace(string(text)))
	}
	return nil
}
