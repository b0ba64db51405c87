package main

import (
	"context"
	"io"

	"github.com/cijepa/cijepa/job/live"
	"github.com/cijepa/cijepa/job/settings"
)

// healthUsage is the help of cijepa health.
const healthUsage = `health: ask the run of this container whether it moves, for a liveness probe. It fails when the run has hung.
It asks the address of CIJEPA_LISTEN. Where no run answers there, as during cijepa check, nothing has hung.`

// checkHealth is cijepa health.
func checkHealth(ctx context.Context, args []string, out io.Writer) error {
	if _, err := parse(newFlags("health", healthUsage), args, 0, out); err != nil {
		return err
	}
	cfg, err := settings.Load("", nil)
	if err != nil || cfg.Listen == "" {
		return err
	}
	return live.Ask(ctx, cfg.Listen)
}
