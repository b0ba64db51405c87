package live

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/cijepa/cijepa/job/record"
)

// Options are the constant part of what a View serves.
type Options struct {
	Run, Preset string
	Versions    record.Versions
	Depths      []int         // collected ones, the rows and columns of a line's table
	Limit       time.Duration // without progress, after which /healthz answers 503
	Log         *slog.Logger
}

const (
	requestTimeout  = 30 * time.Second       // to read and answer a request
	shutdownTimeout = 250 * time.Millisecond // for answers in flight when the run ends
	maxScrapes      = 4                      // at once; more are answered 503
	maxConnections  = 64                     // at once; more are closed: the run needs file descriptors
)

// Serve answers requests until the returned function is called, which takes 250 ms at most.
func (v *View) Serve(listener net.Listener, o Options) (stop func()) {
	v.Doing("beginning") // the time without progress counts from here
	errors := slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn)
	server := &http.Server{
		Handler:     v.handler(o),
		ReadTimeout: requestTimeout, WriteTimeout: requestTimeout, IdleTimeout: 2 * requestTimeout,
		MaxHeaderBytes: 16 << 10, ErrorLog: errors, ConnState: limitConnections(),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(listener); err != http.ErrServerClosed {
			o.Log.Warn("no longer listening; the run goes on", "error", err)
		}
	}()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			server.Close()
		}
		<-done
	}
}

// limitConnections closes connections beyond maxConnections. They are not left waiting: a liveness
// probe behind those that stall would fail.
func limitConnections() func(net.Conn, http.ConnState) {
	var open atomic.Int64
	return func(c net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			if open.Add(1) > maxConnections {
				c.Close()
			}
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
		}
	}
}

// handler serves the three paths.
func (v *View) handler(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(v.registry(o), promhttp.HandlerOpts{
		EnableOpenMetrics: true, MaxRequestsInFlight: maxScrapes, ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn),
	}))
	mux.HandleFunc("GET /healthz", v.healthz(o.Limit))
	mux.Handle("GET /{$}", v.page(o))
	return mux
}
