//go:build !cgo

package pixels

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// A process says once that it decodes slowly, however many loaders it has, and nothing over images that are small.
func TestFallbackIsLoggedOnce(t *testing.T) {
	fallbackWarning = sync.Once{}
	var log bytes.Buffer
	c := input.smallConfig()
	c.Log = slog.New(slog.NewTextHandler(&log, nil))
	c.Size = thumbnail
	input.newLoader(t, input.newFakeSource(t, 4), c)
	if log.Len() > 0 {
		t.Errorf("over small images it says %s", &log)
	}
	c.Size = thumbnail + 1
	for range 3 {
		input.newLoader(t, input.newFakeSource(t, 4), c)
	}
	if n := strings.Count(log.String(), "without cgo"); n != 1 || !strings.Contains(log.String(), DecoderName()) {
		t.Errorf("logged %d times:\n%s", n, log.String())
	}
}
