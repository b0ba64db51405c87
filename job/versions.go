package job

import (
	"io/fs"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/cijepa/cijepa/job/record"
)

// Versions names what computed a run.
type Versions = record.Versions

// BuildVersions reads them from the binary; program is what the linker stamped, if anything. Those of the plugin and the
// driver are known once the device is open.
func BuildVersions(program string) Versions {
	v := Versions{Program: program}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v.Go = info.GoVersion
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
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

// nvidiaProc is where the kernel's NVIDIA driver tells of itself; a container sees the cards that it was given.
func nvidiaProc() fs.FS { return os.DirFS("/proc/driver/nvidia") }

var (
	driverVersion = regexp.MustCompile(`(?m)^NVRM version:.*?\s(\d+\.\d+(?:\.\d+)*)\s`)
	cardModel     = regexp.MustCompile(`(?m)^Model:\s*(.+?)\s*$`)
)

// nvidia reads the version of the driver and the names of the cards, one of each kind. Both are empty where there is none.
func nvidia(proc fs.FS) (driver, cards string) {
	text, _ := fs.ReadFile(proc, "version") // not there: no driver
	if m := driverVersion.FindSubmatch(text); m != nil {
		driver = string(m[1])
	}
	files, _ := fs.Glob(proc, "gpus/*/information") // its only error is a bad pattern
	var names []string
	for _, file := range files {
		text, _ := fs.ReadFile(proc, file)
		if m := cardModel.FindSubmatch(text); m != nil {
			names = append(names, string(m[1]))
		}
	}
	slices.Sort(names)
	return driver, strings.Join(slices.Compact(names), ", ")
}
