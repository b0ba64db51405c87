package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestBenchCommand: one line of JSON on standard output and nothing else, without a bucket; faults
// by their exit codes.
func TestBenchCommand(t *testing.T) {
	small := []string{"CIJEPA_PRESET=demo", "CIJEPA_BATCH=4", "CIJEPA_BACKEND=go:parallelism=64"}
	for _, c := range []struct {
		name string
		args []string
		more []string
		code int
		says string
	}{
		{"good", []string{"-steps", "1", "-warmup", "1", "-target", "9", "-context", "8", "-peak", "0.5"}, nil, 0, ""},
		{"help", []string{"-h"}, nil, 0, ""},
		{"flag", []string{"-stops", "1"}, nil, 64, "stops"},
		{"argument", []string{"now"}, nil, 64, "now"},
		{"steps", []string{"-steps", "0"}, nil, 64, "-steps=0: at least 1"},
		{"setting", nil, []string{"CIJEPA_HEADS=3"}, 64, "CIJEPA_HEADS"},
		{"device", nil, []string{"CIJEPA_BACKEND=xla:/no/such/plugin.so"}, 64, "CIJEPA_BACKEND"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := exec.Command(os.Args[0], append([]string{"bench"}, c.args...)...)
			p.Env = append(append([]string{asProgram + "=1", "HOME=" + t.TempDir()}, small...), c.more...)
			out, log := new(output), new(output)
			p.Stdout, p.Stderr = out, log
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			if code := wait(t, p); code != c.code || !strings.Contains(log.String(), c.says) {
				t.Fatalf("exit %d, want %d and %q in\n%s\n%s", code, c.code, c.says, out, log)
			}
			var found map[string]any
			err := json.Unmarshal([]byte(out.String()), &found)
			if c.name == "good" && (err != nil || found["images_per_second"] == nil || found["mfu"] == nil) {
				t.Errorf("%v in %s", err, out)
			}
		})
	}
}
