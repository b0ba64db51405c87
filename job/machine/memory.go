package machine

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Memory is what this process may take of the host's memory.
type Memory struct {
	Bytes int64  // 0: not known
	Of    string // what sets it: the machine, or its control group
}

// HostMemory returns the memory of this machine or, if that is less, the limit of the control group
// that this process runs in: a container's.
func HostMemory() Memory {
	m := Memory{physicalMemory(), "this machine"}
	if limit := groupLimit("/"); limit > 0 && (m.Bytes == 0 || limit < m.Bytes) {
		m = Memory{limit, "this control group (memory limit of the container or the service)"}
	}
	return m
}

// groupLimit returns the least memory limit of the control group of this process and of those above
// it, of version 1 or 2, in a file system that is mounted at root; 0 if there is none. In a
// container the path of the group may be the host's: then only the root of the tree is there.
func groupLimit(root string) (least int64) {
	groups, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(groups)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3) // number:controllers:path
		if len(fields) != 3 {
			continue
		}
		tree, file := "sys/fs/cgroup", "memory.max"
		if fields[1] == "memory" {
			tree, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		} else if fields[1] != "" {
			continue
		}
		for path := filepath.Join("/", fields[2]); ; path = filepath.Dir(path) {
			text, err := os.ReadFile(filepath.Join(root, tree, path, file))
			if limit, perr := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && perr == nil && limit > 0 && (least == 0 || limit < least) {
				least = limit // "max" is none
			}
			if path == "/" {
				break
			}
		}
	}
	return least
}
