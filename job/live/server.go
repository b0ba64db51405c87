package live

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// CheckAddress says whether an address can be listened on at all: a host or nothing, and a port.
func CheckAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	return err
}

// Options say what a View serves.
type Options struct {
	Identity
	Limit time.Duration // without progress, after which /healthz answers 503
	Log   *slog.Logger
}

const (
	slowest    = 30 * time.Second       // for a request to be read and answered: a reader that hangs is let go
	farewell   = 250 * time.Millisecond // for answers in flight when the run ends
	fewScrapes = 4                      // at once; more are answered 503
)

// Serve answers on a listener until the returned function is called, which takes 250 ms at most.
func (v *View) Serve(listener net.Listener, o Options) (stop func()) {
	v.Doing("beginning") // health counts from here: what comes before a run's first word may hang too
	errors := slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn)
	server := &http.Server{
		Handler:     v.handler(o),
		ReadTimeout: slowest, WriteTimeout: slowest, IdleTimeout: 2 * slowest, MaxHeaderBytes: 16 << 10,
		ErrorLog: errors,
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(listener); err != http.ErrServerClosed {
			o.Log.Warn("no longer listening; the run goes on", "error", err)
		}
	}()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), farewell)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			server.Close()
		}
		<-done
	}
}

// handler has the three places that there are.
func (v *View) handler(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(v.registry(o.Identity), promhttp.HandlerOpts{
		EnableOpenMetrics: true, MaxRequestsInFlight: fewScrapes, ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn),
	}))
	mux.HandleFunc("GET /healthz", v.healthz(o.Limit))
	mux.HandleFunc("GET /{$}", v.page(o.Identity, o.Log))
	return mux
}
