package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/cijepa/cijepa"

// rooms says which of our packages each package may import, directly; cmd may import all. Imports
// go down only.
var rooms = map[string][]string{
	"cmd/cijepa": {"job", "job/bar", "job/bench", "job/check", "job/demo", "job/history", "job/input", "job/input/pixels", "job/live", "job/machine", "job/predictions", "job/record", "job/report", "job/settings", "job/sweep", "job/teacher", "model", "storage", "storage/checkpoint", "storage/classlist", "storage/pack", "storage/shards"},
	"job": {"job/alarm", "job/bar", "job/board", "job/history", "job/input", "job/input/pixels", "job/live", "job/machine", "job/pictures", "job/predictions", "job/record",
		"job/settings", "job/teacher", "job/trainer", "model", "model/classify", "model/draw", "model/mask", "model/safetensors", "storage", "storage/checkpoint", "storage/classlist", "storage/shards"},
	"job/teacher":             {"job/input/pixels", "job/record", "job/settings", "model", "model/safetensors", "storage", "storage/checkpoint"},
	"job/alarm":               {"job/record", "job/settings"},
	"job/bar":                 {},
	"job/bench":               {"job/input", "job/machine", "job/record", "job/settings", "model", "model/draw", "model/mask"},
	"job/check":               {"job/bench", "job/input/pixels", "job/machine", "job/record", "job/settings", "model", "model/mask", "storage", "storage/checkpoint", "storage/classlist", "storage/shards"},
	"job/machine":             {"job/input", "job/record", "job/settings", "model", "model/mask", "storage", "storage/checkpoint", "storage/shards"},
	"job/machine/machinetest": {},
	"job/sweep":               {"job/settings"},
	"job/trainer":             {"job/record"},
	"job/settings":            {"job/input", "job/record", "model", "model/mask", "storage"},

	"job/input":        {"job/input/pixels", "model/draw"},
	"job/input/pixels": {"model/draw"},
	"job/demo":         {"job/input/pixels", "storage", "storage/pack"},

	"job/record":              {},
	"job/predictions":         {"model/classify"},
	"job/pictures":            {"job/record"},
	"job/history":             {"job/predictions", "job/record", "storage"},
	"job/history/historytest": {"job/predictions", "job/record", "model/classify", "storage"},
	"job/board":               {"job/record", "job/report/chart"},
	"job/live":                {"job/history", "job/record", "job/report"},
	"job/report":              {"job/history", "job/record", "job/report/chart", "job/report/paired", "storage"},
	"job/report/paired":       {},
	"job/report/chart":        {},

	"model":             {"model/classify", "model/draw", "model/mask", "model/plugin", "model/safetensors"},
	"model/classify":    {},
	"model/draw":        {},
	"model/mask":        {"model/draw"},
	"model/plugin":      {},
	"model/safetensors": {},

	"storage":             {},
	"storage/checkpoint":  {"storage"},
	"storage/shards":      {"storage"},
	"storage/classlist":   {},
	"storage/pack":        {"storage", "storage/classlist", "storage/shards"},
	"storage/storagetest": {"storage"},
}

// owners are the packages that alone may import, directly, what begins with a prefix.
var owners = map[string][]string{
	"github.com/gomlx/":                    {"model", "model/plugin", "cmd/cijepa"},
	"gocloud.dev/":                         {"storage", "storage/storagetest", "cmd/cijepa"},
	"github.com/kelseyhightower/envconfig": {"job/settings"},
	"github.com/google/renameio/v2":        {"job/machine"},
	"github.com/aws/":                      {"storage", "storage/storagetest"},
	"github.com/Azure/":                    {"storage", "storage/storagetest"},
	"google.golang.org/api":                {"storage", "storage/storagetest"},
	"github.com/gomlx/go-xla/compute/xla":  {"cmd/cijepa"},
	"github.com/gomlx/go-xla/compute/xla/": {}, // autoinstall downloads plugins
	"github.com/gomlx/compute/gobackend":   {"cmd/cijepa"},
	"gocloud.dev/blob/s3blob":              {"cmd/cijepa"},
	"gocloud.dev/blob/gcsblob":             {"cmd/cijepa"},
	"gocloud.dev/blob/azureblob":           {"storage", "cmd/cijepa"},
	"github.com/parquet-go/parquet-go":     {"storage/pack"},
	"github.com/prometheus/client_golang":  {"job/live"},
	"gonum.org/v1/plot":                    {"job/report/chart"},
	"k8s.io/klog/v2":                       {"cmd/cijepa"},
}

// TestImportsGoDown holds the walls between the rooms.
func TestImportsGoDown(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, module+"/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		from, imports := strings.TrimPrefix(words[0], module+"/"), words[1:]
		allowed, ok := rooms[from]
		if !ok {
			t.Errorf("package %s has no place in the house: give it one here", from)
			continue
		}
		seen++
		for _, path := range imports {
			if room, ours := strings.CutPrefix(path, module+"/"); ours && !slices.Contains(allowed, room) {
				t.Errorf("%s imports %s; it may import %v", from, room, allowed)
			}
			for prefix, who := range owners {
				if strings.HasPrefix(path, prefix) && !slices.Contains(who, from) {
					t.Errorf("%s imports %s; only %v may", from, path, who)
				}
			}
		}
	}
	if seen < 6 {
		t.Errorf("saw %d packages, so this test has looked at the wrong thing", seen)
	}
}

// TestEnvironmentIsReadInOnePlace: settings come through job/settings/load.go and nowhere else.
func TestEnvironmentIsReadInOnePlace(t *testing.T) {
	out, err := exec.Command("git", "-C", "../..", "grep", "-lE", `os\.(Getenv|LookupEnv|Environ)\(`, "--", "*.go", ":!*_test.go", ":!storage/storagetest", ":!job/machine/machinetest").CombinedOutput()
	if err != nil {
		t.Skipf("no git checkout to search: %v", err)
	}
	if got := strings.TrimSpace(string(out)); got != "job/settings/load.go" {
		t.Errorf("the environment is read in\n%s\nand should be in job/settings/load.go only", got)
	}
}
