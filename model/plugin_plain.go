//go:build !cgo

package model

// Plugin is empty: without cgo there is the pure Go backend only.
func (d *Device) Plugin() string { return "" }
