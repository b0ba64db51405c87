package job

import (
	"regexp"
	"runtime/debug"

	"github.com/cijepa/cijepa/job/record"
)

// Versions names what computed a run.
type Versions = record.Versions

// BuildVersions reads them from the binary; program and commit are what the linker stamped, if anything. Those of the plugin and the
// driver are known once the device is open.
func BuildVersions(program, commit string) Versions {
	v := Versions{Program: program, Commit: commit}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v.Go = info.GoVersion
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && v.Commit == "" {
			v.Commit = s.Value
		}
	}
	for _, d := range info.Deps {
		switch d.Path {
		case "github.com/gomlx/gomlx":
			v.GoMLX = d.Version
		case "github.com/gomlx/compute":
			v.Compute = d.Version
		case "github.com/gomlx/go-xla":
			v.GoXLA = d.Version
		}
	}
	return v
}

// driverFile is where the kernel's NVIDIA driver tells of itself.
const driverFile = "/proc/driver/nvidia/version"

var driverVersion = regexp.MustCompile(`(?m)^NVRM version:.*?\s(\d+\.\d+(?:\.\d+)*)\s`)

// nvidiaDriver is the driver's version in what it tells, or empty.
func nvidiaDriver(text []byte) string {
	if m := driverVersion.FindSubmatch(text); m != nil {
		return string(m[1])
	}
	return ""
}
