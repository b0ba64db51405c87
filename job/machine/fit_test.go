//go:build cgo

package machine

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/gomlx/go-xla/compute/xla"

	"github.com/cijepa/cijepa/job/bench"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
)

// emptyPlugin opens a device on the plugin of model's tests, which computes nothing and has as much memory as it is told.
func emptyPlugin(t *testing.T) *model.Device {
	t.Helper()
	compiler, err := exec.LookPath("gcc")
	if err != nil {
		t.Skipf("no C compiler: %v", err)
	}
	module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/gomlx/go-xla").Output()
	if err != nil {
		t.Skipf("no folder of go-xla's header: %v", err)
	}
	path := filepath.Join(t.TempDir(), "pjrt_c_api_cuda_plugin.so")
	build := exec.Command(compiler, "-O1", "-shared", "-fPIC", "-o", path, "-I", filepath.Join(strings.TrimSpace(string(module)), "pjrt"),
		filepath.Join("..", "model", "testdata", "compiler.c"))
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the plugin: %v\n%s", err, output)
	}
	device, err := model.DeviceOptions{}.Open("xla:" + path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(device.Close)
	return device
}

// TestFitting: a run takes the largest micro-batch for which there is memory and keeps it; what cannot fit is told before the
// first update, with the setting to change.
func TestFitting(t *testing.T) {
	device := emptyPlugin(t)
	cfg, _ := bench.smallBench()
	cfg.Backend, cfg.Batch = "xla:/cuda", 16
	needs := func(micro int) int64 { // of what the plugin plans: it knows of nothing that is not returned
		c := cfg
		c.MicroBatch = micro
		_, need, err := LargestSteps(c)
		if err != nil {
			t.Fatal(err)
		}
		return need.Total() - need.Gradients - need.Activations + 1000
	}
	estimate := func(micro int) int64 { // with room for another place to work in
		c := cfg
		c.MicroBatch = micro
		_, need, err := LargestSteps(c)
		if err != nil {
			t.Fatal(err)
		}
		return need.Roomy()
	}
	var settings *settings.Error
	var failed *DeviceError
	for _, c := range []struct {
		name         string
		memory, left int64
		micro        int
		begun        *settings.Recipe
		want         int
		err          any
		says         string
	}{
		{"nobody tells", 0, 0, 0, nil, 0, nil, ""},
		{"all fits", 1 << 40, 0, 0, nil, 0, nil, ""},
		{"half is tried", estimate(0)*99/100*100/115 - 1000, 0, 0, nil, 8, nil, ""},
		{"as it was set", 1 << 40, 0, 4, nil, 4, nil, ""},
		{"as it was begun", 1 << 40, 0, 0, &settings.Recipe{MicroBatch: 2}, 2, nil, ""},
		{"begun whole", 1 << 40, 0, 0, &settings.Recipe{}, 0, nil, ""},
		{"set too large", needs(4) / 2, 0, 4, nil, 0, &settings, "CIJEPA_MICRO_BATCH=4"},
		{"begun on another card", needs(4) / 2, 0, 0, &settings.Recipe{MicroBatch: 4}, 0, &failed, "begun with passes of 4"},
		{"nothing fits", needs(1) / 2, 0, 0, nil, 0, &settings, "CIJEPA_REMAT=false: not even one image"},
		{"others use the card", 1 << 40, 1000, 4, nil, 0, &failed, "free the device, set CIJEPA_MICRO_BATCH below 4"},
		{"others use all of it", 1 << 40, 1000, 0, nil, 0, &failed, "not even one image at a time"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("PLUGIN_MEMORY", fmt.Sprint(c.memory))
			t.Setenv("PLUGIN_MEMORY_LEFT", fmt.Sprint(c.left))
			cfg := cfg
			cfg.MicroBatch = c.micro
			got, err := ChooseMicroBatch(t.Context(), device, cfg, c.begun, c.begun == nil, check.testLog(t))
			if c.err == nil {
				if err != nil || got.MicroBatch != c.want {
					t.Errorf("micro-batches of %d, want %d: %v", got.MicroBatch, c.want, err)
				}
			} else if !errors.As(err, c.err) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %q", err, c.says)
			}
		})
	}
}

// TestLikely is what fitting finds, where the estimate is right.
func TestLikely(t *testing.T) {
	cfg, _ := bench.smallBench()
	cfg.Backend, cfg.Batch = "xla:/cuda", 16
	cfg.MicroBatch = 4
	_, need, err := LargestSteps(cfg)
	if err != nil {
		t.Fatal(err)
	}
	enough := need.Roomy()
	for _, c := range []struct {
		memory      *model.DeviceMemory
		micro, want int
	}{
		{nil, 0, 0}, {&model.DeviceMemory{}, 0, 0}, {&model.DeviceMemory{Limit: 1 << 40}, 0, 0},
		{&model.DeviceMemory{Limit: enough}, 0, 4}, {&model.DeviceMemory{Limit: enough - 1}, 0, 2}, {&model.DeviceMemory{Limit: 1}, 0, 1},
		{&model.DeviceMemory{Limit: 1}, 8, 8},
	} {
		cfg.MicroBatch = c.micro
		if got := Likely(cfg, c.memory); got.MicroBatch != c.want {
			t.Errorf("of %+v and %d: %d, want %d", c.memory, c.micro, got.MicroBatch, c.want)
		}
	}
}

// TestCheckTriesTheLargestStep on a device that tells its memory.
func TestCheckTriesTheLargestStep(t *testing.T) {
	cfg, _ := bench.smallBench()
	cfg.Backend = "xla:/cuda"
	for memory, says := range map[string]string{"1000000000": "was tried with passes of 4 images, and fits", "1000": "CIJEPA_REMAT=false"} {
		var out strings.Builder
		k := &check.check{cfg: cfg, out: &out, log: check.testLog(t), smi: bench.NvidiaSMI, device: emptyPlugin(t)}
		t.Setenv("PLUGIN_MEMORY", memory)
		if k.lookAtMemory(t.Context()); !strings.Contains(out.String(), says) {
			t.Errorf("no %q in\n%s", says, &out)
		}
	}
}

// What fails inside cuDNN, which serves for attention alone, names the setting that does without it.
func TestAttentionThatFails(t *testing.T) {
	const advice = "CIJEPA_PLAIN_ATTENTION=true"
	cfg := settings.Defaults()
	cfg.Backend = "xla:/xla_cuda_plugin.so"
	plain := cfg
	plain.PlainAttention = true
	for _, c := range []struct {
		cfg   settings.Config
		begun *settings.Recipe
		text  string
		want  bool
	}{
		{cfg, nil, "INTERNAL: [cudnn_frontend] Error: No execution plans support the graph.", true},
		{cfg, &settings.Recipe{}, "FAILED_PRECONDITION: DNN library initialization failed.", true},
		{cfg, nil, "PJRT error (code=13): CUDA_ERROR_ILLEGAL_ADDRESS", false},
		{plain, nil, "FAILED_PRECONDITION: DNN library initialization failed.", false},
	} {
		got := Failed(c.cfg, errors.New(c.text), c.begun).Error()
		if strings.Contains(got, advice) != c.want || !strings.HasPrefix(got, c.text) || strings.Contains(got, "CIJEPA_RUN") != (c.begun != nil) {
			t.Errorf("%q says %q", c.text, got)
		}
	}
}
