//go:build cgo

package model

// With this backend the tests of this package run on an XLA plugin too: CIJEPA_XLA_PLUGIN is its
// absolute path.
import _ "github.com/gomlx/go-xla/compute/xla"
