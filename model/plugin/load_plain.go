//go:build !cgo

package plugin

import "errors"

type native struct{}

// Load fails: without cgo there is no dlopen.
func Load(string, Options) (*Client, func(), error) {
	return nil, nil, errors.New("this program was built without cgo and cannot load a plugin")
}

// Versions are none.
func (c *Client) Versions() string { return "" }

// Flags are none.
func (c *Client) Flags() string { return "" }

// Memory of the device: there is none.
func (c *Client) Memory() *DeviceMemory { return nil }
