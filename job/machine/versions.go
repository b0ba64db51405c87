package machine

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"regexp"
	"runtime/debug"

	"golang.org/x/sys/cpu"

	"github.com/cijepa/cijepa/job/record"
)

// BuildVersions returns the versions that this binary holds. Program and commit are what the linker
// stamped, or empty. Those of the plugin and the driver are known once the device is open.
func BuildVersions(program, commit string) record.Versions {
	v := record.Versions{Program: program, Commit: commit, Build: buildHash()}
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

// buildHash is the start of the executable's SHA-256. It tells builds of one version apart, such as
// devel. It is empty where the file cannot be read.
func buildHash() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// VectorUnit names the widest vector unit of this processor that GoMLX's Go backend uses, or is
// empty. Sums over another width have other last bits.
func VectorUnit() string {
	switch {
	case cpu.X86.HasAVX512F:
		return "AVX-512"
	case cpu.X86.HasAVX2:
		return "AVX2"
	}
	return ""
}

// driverFile is where NVIDIA's kernel module describes itself.
const driverFile = "/proc/driver/nvidia/version"

var driverVersion = regexp.MustCompile(`(?m)^NVRM version:.*?\s(\d+\.\d+(?:\.\d+)*)\s`)

// DriverVersion is the version of this machine's NVIDIA driver, or empty.
func DriverVersion() string {
	text, _ := os.ReadFile(driverFile) // it is missing where there is no NVIDIA driver
	return parseDriver(text)
}

// parseDriver finds the version in the text of driverFile.
func parseDriver(text []byte) string {
	if m := driverVersion.FindSubmatch(text); m != nil {
		return string(m[1])
	}
	return ""
}

// HostName names this attempt for a reader of the bucket. In a cluster it is the name of the pod.
func HostName() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		return "host"
	}
	return host
}
