//go:build cgo

package machine

import (
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/gomlx/go-xla/compute/xla"

	"github.com/cijepa/cijepa/job/settings"
)

// TestMissingPluginIsAFaultOfTheSettings, which no other attempt mends; the message says how to
// come by one.
func TestMissingPluginIsAFaultOfTheSettings(t *testing.T) {
	cfg := settings.Defaults()
	path := filepath.Join(t.TempDir(), "plugin.so")
	cfg.Backend = "xla:" + path + ",preallocate=true"
	_, err := OpenDevice(cfg, nil, slog.New(slog.DiscardHandler))
	var fault *settings.Error
	if !errors.As(err, &fault) {
		t.Fatal(err)
	}
	for _, want := range []string{"CIJEPA_BACKEND=" + cfg.Backend, "there is no file " + path + ";", "pip install"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}
