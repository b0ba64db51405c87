package plugin

import (
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
	module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/gomlx/go-xla").Output()
	if err != nil {
		t.Skipf("no folder of go-xla's header: %v", err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	build := func(more string) (string, error) {
		header := filepath.Join(strings.TrimSpace(string(module)), "pjrt")
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
