package machine

import "golang.org/x/sys/unix"

// physicalMemory returns the memory of this machine in bytes, or 0 if it is not known.
func physicalMemory() int64 {
	size, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return 0
	}
	return int64(size)
}
