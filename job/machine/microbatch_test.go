package machine

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/job/settings"
)

// TestMicroBatchesAreDivisors: the whole batch first, then its divisors.
func TestMicroBatchesAreDivisors(t *testing.T) {
	if got, want := microBatches(12), []int{0, 6, 4, 3, 2, 1}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := microBatches(1); !slices.Equal(got, []int{0}) {
		t.Errorf("of one image: %v", got)
	}
}

// TestErrorOfCuDNNNamesItsSetting: cuDNN serves for attention alone, so its errors name the setting
// that does without it.
func TestErrorOfCuDNNNamesItsSetting(t *testing.T) {
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
		got := StepError(c.cfg, errors.New(c.text), c.begun).Error()
		if strings.Contains(got, advice) != c.want || !strings.HasPrefix(got, c.text) || strings.Contains(got, "CIJEPA_RUN") != (c.begun != nil) {
			t.Errorf("%q says %q", c.text, got)
		}
	}
}
