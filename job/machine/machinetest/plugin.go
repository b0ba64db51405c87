// Package machinetest builds a device for tests where there is no GPU.
package machinetest

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// BuildPlugin compiles model/testdata/compiler.c, a PJRT plugin that computes nothing and reports
// as much memory as PLUGIN_MEMORY says. It returns the path of the library, under a name that GoMLX
// takes for CUDA's. Without gcc the test is skipped.
func BuildPlugin(t *testing.T) string {
	t.Helper()
	compiler, err := exec.LookPath("gcc")
	if err != nil {
		t.Skipf("no C compiler: %v", err)
	}
	header, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/gomlx/go-xla").Output()
	if err != nil {
		t.Skipf("no folder of go-xla's header: %v", err)
	}
	_, here, _, _ := runtime.Caller(0)
	source := filepath.Join(filepath.Dir(here), "..", "..", "..", "model", "testdata", "compiler.c")
	path := filepath.Join(t.TempDir(), "pjrt_c_api_cuda_plugin.so")
	build := exec.Command(compiler, "-O1", "-shared", "-fPIC", "-o", path,
		"-I", filepath.Join(strings.TrimSpace(string(header)), "pjrt"), source)
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the plugin: %v\n%s", err, output)
	}
	return path
}
