package plugin

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A C compiler compares abi.h with go-xla's own header, offset by offset.
func TestABIMatchesTheHeaderOfGoXLA(t *testing.T) {
	compiler, err := exec.LookPath("gcc")
	if err != nil {
		t.Skipf("no C compiler: %v", err)
	}
	// A build without cgo has not downloaded the module.
	out, err := exec.Command("go", "mod", "download", "-json", "github.com/gomlx/go-xla").Output()
	var module struct{ Dir string }
	if err != nil || json.Unmarshal(out, &module) != nil || module.Dir == "" {
		t.Skipf("no folder of go-xla's header: %v %s", err, out)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	build := func(more string) (string, error) {
		header := filepath.Join(module.Dir, "pjrt")
		c := exec.Command(compiler, "-fsyntax-only", "-I", here, "-I", header, "-x", "c", "-")
		source, err := os.ReadFile(filepath.Join("testdata", "abi.c"))
		if err != nil {
			t.Fatal(err)
		}
		c.Stdin = strings.NewReader(string(source) + more)
		out, err := c.CombinedOutput()
		return string(out), err
	}
	if out, err := build(""); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := build("FIELD(abi_compile, client, PJRT_Client_Compile_Args, program);\n"); err == nil {
		t.Errorf("a wrong offset was not seen: %s", out)
	}
}
