//go:build !cgo

package input

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// fallbackLog outlives a test run: the warning comes once in a process, also with -count=2.
var fallbackLog bytes.Buffer

// TestNewLoaderWarnsOfFallbackOnce: the first loader of large images warns of the slow decoder.
func TestNewLoaderWarnsOfFallbackOnce(t *testing.T) {
	c := smallConfig()
	c.Size, c.Log = 65, slog.New(slog.NewTextHandler(&fallbackLog, nil))
	for range 3 {
		newLoader(t, newFakeSource(t, 4), c)
	}
	if n := strings.Count(fallbackLog.String(), "without cgo"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, &fallbackLog)
	}
}
