package machine

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestHostMemoryIsTheLeastLimit of the groups above the process, whichever version they are of.
func TestHostMemoryIsTheLeastLimit(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"version 2": {map[string]string{
			"proc/self/cgroup": "0::/pod/box\n", "sys/fs/cgroup/pod/memory.max": "4096\n", "sys/fs/cgroup/pod/box/memory.max": "max\n",
		}, 4096},
		"version 2, in a container": {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "8192\n"}, 8192},
		"version 1": {map[string]string{
			"proc/self/cgroup":                                     "5:cpu:/\n4:memory:/a/b\n0::/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":           "9223372036854771712\n",
			"sys/fs/cgroup/memory/a/b/memory.limit_in_bytes":       "2048\n",
			"sys/fs/cgroup/cpu/memory.limit_in_bytes":              "1\n",
			"sys/fs/cgroup/memory/a/b/below/memory.limit_in_bytes": "1\n",
		}, 2048},
		"version 1, the path of the host": {map[string]string{"proc/self/cgroup": "4:memory:/kubepods/x\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "1024\n"}, 1024},
		"no limit":                        {map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n"}, 0},
		"another system":                  {nil, 0},
	} {
		root := t.TempDir()
		for file, text := range c.files {
			path := filepath.Join(root, file)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, []byte(text), 0o666)); err != nil {
				t.Fatal(err)
			}
		}
		if got := groupLimit(root); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	if m := HostMemory(); m.Bytes < 64<<20 || m.Of == "" {
		t.Errorf("this machine has %+v", m)
	}
}
