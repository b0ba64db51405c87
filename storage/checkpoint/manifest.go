package checkpoint

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cijepa/cijepa/storage"
)

// manifest is the record that commits a checkpoint. Manifests form a chain: each names the checksum
// of the one before it, the numbers have no gap, and none is ever replaced or deleted.
type manifest struct {
	Version  int    `json:"version"`
	Sequence int64  `json:"sequence"`
	Phase    string `json:"phase"`
	Step     int64  `json:"step"`
	Attempt  string `json:"attempt"`
	// Previous is the sha256 of the bytes of the manifest before; empty in the first manifest, and
	// when those bytes could not be read.
	Previous string           `json:"previous"`
	Folder   string           `json:"folder"` // state/<phase>-<step>-<attempt>, relative to the run
	Keep     bool             `json:"keep"`
	Objects  []storage.Object `json:"objects"` // Key is the name below Folder, so that a copied run still loads
	// Retained are the older checkpoints whose objects still exist, oldest first. Checkpoints that
	// the manifest before names and this one does not may be deleted once this one is committed.
	Retained []retained `json:"retained"`
	// Damaged are checkpoints that could not be loaded. Their objects stay, as evidence.
	Damaged []retained `json:"damaged,omitempty"`
}

// retained names an older checkpoint in a manifest.
type retained struct {
	Sequence int64  `json:"sequence"`
	SHA256   string `json:"sha256"` // of the bytes of its manifest
	Folder   string `json:"folder"` // empty when the manifest could not be read
	Keep     bool   `json:"keep"`
}

const manifestVersion = 1

// envelope is a manifest as it is stored, with its own checksum, because no later manifest names
// that of the newest.
type envelope struct {
	Manifest json.RawMessage `json:"manifest"`
	SHA256   string          `json:"sha256"`
}

func sha256Hex(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// encode returns the bytes of a manifest; equal manifests have equal bytes.
func (m *manifest) encode() ([]byte, error) {
	inner, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return json.Marshal(envelope{inner, sha256Hex(inner)})
}

// decodeManifest returns [storage.ErrCorrupt] for all bytes that encode would not have written, so
// that every flipped bit is found.
func decodeManifest(data []byte) (*manifest, error) {
	var s envelope
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("%w: %v", storage.ErrCorrupt, err)
	}
	if got := sha256Hex(s.Manifest); got != s.SHA256 {
		return nil, fmt.Errorf("%w: sha256 %s, expected %s", storage.ErrCorrupt, got, s.SHA256)
	}
	m := new(manifest)
	if err := json.Unmarshal(s.Manifest, m); err != nil {
		return nil, fmt.Errorf("%w: %v", storage.ErrCorrupt, err)
	}
	if m.Version != manifestVersion {
		return nil, fmt.Errorf("manifest of version %d, this program reads version %d", m.Version, manifestVersion)
	}
	if again, err := m.encode(); err != nil || !bytes.Equal(again, data) {
		return nil, fmt.Errorf("%w: not the bytes of a manifest", storage.ErrCorrupt)
	}
	return m, nil
}

func (r *Run) manifestKey(sequence int64) string {
	return fmt.Sprintf("%smanifest/%012d.json", r.root, sequence)
}

// newestSequence returns the highest sequence number of the run, 0 if there is none. The listing
// may be stale, so the numbers after the highest one listed are read until one is missing.
func (r *Run) newestSequence(ctx context.Context) (int64, error) {
	prefix := r.root + "manifest/"
	keys, err := r.bucket.List(ctx, prefix)
	if err != nil {
		return 0, err
	}
	var highest int64
	for _, key := range keys {
		name, ok := strings.CutSuffix(strings.TrimPrefix(key, prefix), ".json")
		if n, err := strconv.ParseInt(name, 10, 64); ok && err == nil && len(name) == 12 {
			highest = max(highest, n)
		}
	}
	for {
		_, err := r.bucket.Get(ctx, r.manifestKey(highest+1))
		if errors.Is(err, storage.ErrNotFound) {
			return highest, nil
		}
		if err != nil && !errors.Is(err, storage.ErrCorrupt) { // a damaged one exists
			return 0, err
		}
		highest++
	}
}

// readManifest returns the manifest of a sequence number and the checksum of its bytes. A damaged
// one is read twice, because bits also flip in transfer. Its checksum is returned too: the next
// manifest names it.
func (r *Run) readManifest(ctx context.Context, sequence int64) (m *manifest, sum string, err error) {
	key := r.manifestKey(sequence)
	for range 2 {
		data, gerr := r.bucket.Get(ctx, key)
		if errors.Is(gerr, storage.ErrNotFound) {
			return nil, "", fmt.Errorf("reading %s: %w: it is gone: %v", key, storage.ErrCorrupt, gerr)
		}
		if gerr != nil {
			return nil, "", gerr
		}
		sum = sha256Hex(data)
		m, err = decodeManifest(data)
		if err == nil && m.Sequence != sequence {
			err = fmt.Errorf("%w: it has sequence %d", storage.ErrCorrupt, m.Sequence)
		}
		if err == nil {
			return m, sum, nil
		}
		err = fmt.Errorf("reading %s: %w", key, err)
	}
	return nil, sum, err
}

// chain is what an attempt knows of the manifests: the number of the next one and what it must
// contain.
type chain struct {
	sequence int64  // of the newest manifest; 0: none
	checksum string // of its bytes
	retained []retained
	damaged  []retained

	fallbacks int // damaged checkpoints that this attempt's restore found first
}

// extend adds a committed manifest to the chain.
func (c *chain) extend(m *manifest, sum string) {
	c.sequence, c.checksum = m.Sequence, sum
	c.retained = append(slices.Clone(m.Retained), retained{m.Sequence, sum, m.Folder, m.Keep})
	c.damaged = slices.Clone(m.Damaged)
}
