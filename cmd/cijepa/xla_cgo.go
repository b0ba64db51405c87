//go:build cgo

package main

import _ "github.com/gomlx/go-xla/compute/xla" // needs a C compiler; without cgo there is the pure-Go backend only
