//go:build !cgo

package pixels

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// TestFallbackIsLoggedOnce: a process warns once, and never for thumbnails.
func TestFallbackIsLoggedOnce(t *testing.T) {
	fallbackWarning = sync.Once{}
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	WarnOfFallback(log, thumbnail)
	if out.Len() > 0 {
		t.Errorf("a warning for small images: %s", &out)
	}
	for range 3 {
		WarnOfFallback(log, thumbnail+1)
	}
	if n := strings.Count(out.String(), "without cgo"); n != 1 || !strings.Contains(out.String(), DecoderName()) {
		t.Errorf("logged %d times:\n%s", n, out.String())
	}
}
