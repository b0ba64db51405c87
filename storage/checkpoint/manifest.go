package checkpoint

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

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
	if err := m.validate(); err != nil {
		return nil, fmt.Errorf("%w: %v", storage.ErrCorrupt, err)
	}
	return m, nil
}

// validate refuses what no commit writes, although the checksum fits: a step below zero, and names
// that lead out of the checkpoint's folder.
func (m *manifest) validate() error {
	if m.Step < 0 {
		return fmt.Errorf("it is of step %d", m.Step)
	}
	if !isStateFolder(m.Folder) {
		return fmt.Errorf("it names the folder %q", m.Folder)
	}
	for _, o := range m.Objects {
		if !isPath(o.Key) || o.Size < 0 {
			return fmt.Errorf("it names the object %q of %d bytes", o.Key, o.Size)
		}
	}
	for _, x := range slices.Concat(m.Retained, m.Damaged) {
		if x.Folder != "" && !isStateFolder(x.Folder) {
			return fmt.Errorf("it names the folder %q", x.Folder)
		}
	}
	return nil
}

// isStateFolder reports whether a folder is one below state/.
func isStateFolder(folder string) bool {
	name, ok := strings.CutPrefix(folder, "state/")
	return ok && isName(name)
}

// isPath reports whether a part's name stays below its folder.
func isPath(name string) bool {
	for segment := range strings.SplitSeq(name, "/") {
		if !isName(segment) {
			return false
		}
	}
	return true
}

// isName reports whether a name is one segment of a key.
func isName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsFunc(name, func(r rune) bool {
		return r == '/' || r == '\\' || r < ' ' || r == 0x7f || r == utf8.RuneError
	})
}

func (r *Run) manifestKey(sequence int64) string {
	return fmt.Sprintf("%smanifest/%012d.json", r.root, sequence)
}

// maxSequence is the last number that a run can have: keys have 12 digits. At one checkpoint a
// second it is 30,000 years away.
const maxSequence = 999_999_999_998

// newestSequence returns the highest sequence number of the run, 0 if there is none.
func (r *Run) newestSequence(ctx context.Context) (int64, error) {
	sequences, err := r.sequences(ctx)
	if err != nil || len(sequences) == 0 {
		return 0, err
	}
	return sequences[0], nil
}

// sequences returns the sequence numbers of the run's manifests, the highest first. The listing may
// be stale, so the numbers after the highest one listed are read until one is missing.
//
// The numbers of a run have no gap. So an unreadable manifest right above a gap is a stray object,
// which somebody else has put there: it is left out, with a warning, as long as there are others.
func (r *Run) sequences(ctx context.Context) ([]int64, error) {
	prefix := r.root + "manifest/"
	keys, err := r.bucket.List(ctx, prefix)
	if err != nil {
		return nil, err
	}
	var listed []int64
	for _, key := range keys {
		name, ok := strings.CutSuffix(strings.TrimPrefix(key, prefix), ".json")
		if n, err := strconv.ParseInt(name, 10, 64); ok && err == nil && len(name) == 12 && n > 0 {
			listed = append(listed, n)
		}
	}
	slices.SortFunc(listed, func(a, b int64) int { return cmp.Compare(b, a) })
	for i, n := range listed {
		if i+1 == len(listed) {
			break // nothing but strays, or nothing stray: the restore says whether any can be read
		}
		if n <= maxSequence && listed[i+1] == n-1 {
			listed = listed[i:]
			break
		}
		_, _, err := r.readManifest(ctx, n)
		if err == nil && n <= maxSequence {
			listed = listed[i:]
			break
		}
		if err != nil && !errors.Is(err, storage.ErrCorrupt) {
			return nil, err
		}
		r.log.Warn("a stray object among the manifests is passed over: its number is far above the one before it, "+
			"and it is no manifest; delete it", "key", r.manifestKey(n), "before", listed[i+1], "error", err)
		if i+2 == len(listed) {
			listed = listed[i+1:]
			break
		}
	}
	for {
		next := int64(1)
		if len(listed) > 0 {
			next = listed[0] + 1
		}
		_, err := r.bucket.Get(ctx, r.manifestKey(next))
		if errors.Is(err, storage.ErrNotFound) {
			return listed, nil
		}
		if err != nil && !errors.Is(err, storage.ErrCorrupt) { // a damaged one exists
			return nil, err
		}
		listed = slices.Insert(listed, 0, next)
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
			sum, err = "", fmt.Errorf("reading %s: %w: it is gone: %v", key, storage.ErrCorrupt, gerr)
			continue
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
