// Package record is what a run writes into its folder of the bucket beside its weights: run.json,
// the lines of metrics/, result.json. It holds the fields and what they mean. It does not know how
// they are computed, nor how a bucket is read or written. Package job writes them, package history
// reads them.
//
//	record.go     run.json
//	lines.go      the lines of metrics/
//	series.go     the numbers of these lines, and the names under which readers see them
//	result.go     result.json
//	verdict.go    the teacher against its untrained self
//	variable.go   the environment variable of a setting
//	pictures.go   the pictures of a run, and what they show in words
//	printable.go  texts from a bucket, for people
//	seal.go       run.json and result.json as bytes, with a checksum of themselves
package record

import (
	"strconv"
	"strings"
	"time"
)

// Version is the version of run.json and result.json.
const Version = 2

// RunRecord is run.json: what a run is, written once when it begins. Every attempt must have its
// Recipe and Fingerprint; the rest is information. R is the recipe: the type of package settings,
// or a map for a reader that takes any setting.
type RunRecord[R any] struct {
	Version     int       `json:"version"`
	Preset      string    `json:"preset"`
	Recipe      R         `json:"recipe"`
	Fingerprint string    `json:"data_fingerprint"`
	Versions    Versions  `json:"versions"`
	Begun       time.Time `json:"begun"`
	Teacher     *Teacher  `json:"teacher,omitempty"` // of a probe that is no phase of a run
}

// Teacher is the frozen encoder of a probe that is no phase of a run.
type Teacher struct {
	From   string `json:"from"`   // runs/NAME, or the URL of a file
	Step   int64  `json:"step"`   // updates of pretraining before it; 0: all, or a file
	SHA256 string `json:"sha256"` // of its file under timm's names
}

// Versions names what computed a run.
type Versions struct {
	Program string `json:"program"` // version stamped at build, or devel
	Commit  string `json:"commit,omitempty"`
	Build   string `json:"build,omitempty"` // the first digits of the executable's sha256
	Go      string `json:"go"`
	GoMLX   string `json:"gomlx"`
	Compute string `json:"compute"`
	GoXLA   string `json:"go_xla"`
	Plugin  string `json:"plugin,omitempty"` // of XLA, in its own words
	Driver  string `json:"driver,omitempty"` // of NVIDIA
}

// Ranges writes ascending numbers as a setting takes them: 0,3,5-7.
func Ranges(values []int) string {
	var words []string
	for i := 0; i < len(values); {
		k := i
		for k+1 < len(values) && values[k+1] == values[k]+1 {
			k++
		}
		word := strconv.Itoa(values[i])
		if k > i {
			word += "-" + strconv.Itoa(values[k])
		}
		words = append(words, word)
		i = k + 1
	}
	return strings.Join(words, ",")
}
