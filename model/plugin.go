//go:build cgo

package model

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gomlx/go-xla/pjrt"
)

// Plugin is the PJRT plugin that runs the programs, in its own words: the version of the interface that it speaks, that of
// its platform, and its attributes, such as the versions of XLA and StableHLO that it was built from. It is empty for the
// pure Go backend.
func (d *Device) Plugin() string {
	path, ok := strings.CutPrefix(d.name, "xla:")
	if !ok {
		return ""
	}
	path, _, _ = strings.Cut(path, ",")
	plugin, err := pjrt.GetPlugin(path) // the one that the backend has loaded
	if err != nil {
		return ""
	}
	major, minor := plugin.Version()
	words := []string{fmt.Sprintf("PJRT %d.%d", major, minor)}
	if d.client != nil && d.client.Version() != "" {
		words = append(words, d.client.Version())
	}
	attributes := plugin.Attributes()
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		words = append(words, fmt.Sprintf("%s %v", name, attributes[name]))
	}
	return strings.Join(words, ", ")
}
