package cluster

import (
	"os"
	"os/signal"
	"testing"
	"time"
)

// TestHold keeps a cluster of two spot machines for a person to try k8s/ on, as long as
// CIJEPA_TEST_HOLD says (20m) or until ^C.
func TestHold(t *testing.T) {
	wanted := os.Getenv("CIJEPA_TEST_HOLD")
	if wanted == "" {
		t.Skip("only with CIJEPA_TEST_HOLD, a time")
	}
	hold, err := time.ParseDuration(wanted)
	if err != nil {
		t.Fatalf("CIJEPA_TEST_HOLD: %v", err)
	}
	for _, name := range []string{"spot-a", "spot-b"} {
		newNode(t, trials, name, "spot", 1)
	}
	t.Logf("export KUBECONFIG=%s\nexport PATH=%s:$PATH\nCIJEPA_BUCKET=%s and these settings:\n%v", trials.plane.kubeconfig, trials.plane.bin, trials.url(dataBucket), tiny)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt)
	select {
	case <-stop:
	case <-time.After(hold):
	}
}
