package shards

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/cijepa/cijepa/storage"
)

// IndexVersion is the version of index.json that this package writes and the only one that it
// reads.
const IndexVersion = 1

// IndexName is the name of a dataset's index below its prefix. It is the last object that packing
// writes, so a dataset is whole if and only if it has one.
const IndexName = "index.json"

// maxClasses is the most classes of a dataset. A linear probe has a row of weights for each class
// and depth: with more, a damaged index would take the memory of the machine.
const maxClasses = 100_000

// NoLabel is the label of a sample without one. Such samples serve for pretraining only.
const NoLabel = -1

// Index is the content of index.json: every class, every shard and the place of every sample. With
// it a reader needs neither a listing of the bucket nor a scan of a tar file.
type Index struct {
	Version int `json:"version"`
	// Classes are the class names in label order: the class of label i is Classes[i].
	Classes []string `json:"classes"`
	// Counts are the numbers of samples of each split, over all of its shards.
	Counts map[string]int `json:"counts"`
	// Splits are the shards of each split ("train", "val"). Their order is part of the format:
	// shards are referred to by number.
	Splits map[string][]Shard `json:"splits"`
}

// Unlabelled says that the dataset has no classes, so that no sample has a label. It serves for
// pretraining alone, and a val split is optional.
func (ix Index) Unlabelled() bool { return len(ix.Classes) == 0 }

// Shard is one tar file of a dataset.
type Shard struct {
	// Name is the object's key below the dataset's prefix, such as "train-000000.tar".
	Name    string  `json:"name"`
	Size    int64   `json:"size"`
	SHA256  string  `json:"sha256"` // 64 lower-case hexadecimal digits
	Samples Samples `json:"samples"`
}

// Samples are the samples of one shard, as columns: entry i of every column belongs to sample i.
// Columns keep the index of 131,689 samples near 4 MB; an object for each sample would take 10 MB.
type Samples struct {
	Keys    []string `json:"keys"`    // the member's name up to the first dot after the last slash
	Offsets []int64  `json:"offsets"` // of the image's first byte in the shard
	Lengths []int64  `json:"lengths"` // of the image in bytes
	Labels  []int32  `json:"labels"`  // position in Index.Classes, or NoLabel
}

// Len returns the number of samples.
func (s *Samples) Len() int { return len(s.Keys) }

// Add appends a sample: offset and length of its image in the shard in bytes, and its label or
// [NoLabel].
func (s *Samples) Add(key string, offset, length int64, label int32) {
	s.Keys = append(s.Keys, key)
	s.Offsets = append(s.Offsets, offset)
	s.Lengths = append(s.Lengths, length)
	s.Labels = append(s.Labels, label)
}

// ParseIndex parses index.json and validates all of it, so that every offset and length lies within
// a shard of the stated size.
func ParseIndex(data []byte) (Index, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var ix Index
	if err := decoder.Decode(&ix); err != nil {
		return Index{}, fmt.Errorf("index: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return Index{}, errors.New("index: something follows the JSON object")
	}
	if err := ix.Validate(); err != nil {
		return Index{}, err
	}
	return ix, nil
}

// Encode returns the bytes of index.json; equal indexes give equal bytes.
func (ix Index) Encode() ([]byte, error) {
	data, err := json.Marshal(ix)
	if err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	return append(data, '\n'), nil
}

// Fingerprint returns the SHA-256 of index.json in hexadecimal. The index holds the checksum of
// every shard, so two runs with the same fingerprint have seen the same data.
func Fingerprint(indexJSON []byte) string {
	sum := sha256.Sum256(indexJSON)
	return hex.EncodeToString(sum[:])
}

// Validate returns an error for the first contradiction in the index.
func (ix Index) Validate() error {
	if ix.Version != IndexVersion {
		return fmt.Errorf("index: version %d; this program reads version %d", ix.Version, IndexVersion)
	}
	if n := len(ix.Classes); n > maxClasses {
		return fmt.Errorf("index: %d classes are more than %d", n, maxClasses)
	}
	seen := make(map[string]bool, len(ix.Classes))
	for _, class := range ix.Classes {
		if class == "" || seen[class] {
			return fmt.Errorf("index: class %q is empty or named twice", class)
		}
		seen[class] = true
	}
	if len(ix.Splits) == 0 {
		return errors.New("index: no split")
	}
	if len(ix.Counts) != len(ix.Splits) {
		return fmt.Errorf("index: counts of %d splits for %d splits", len(ix.Counts), len(ix.Splits))
	}
	names := map[string]bool{}
	for split, shards := range ix.Splits {
		total := 0
		for i := range shards {
			shard := &shards[i]
			if names[shard.Name] {
				return fmt.Errorf("index: shard %q is named twice", shard.Name)
			}
			names[shard.Name] = true
			if err := shard.validate(len(ix.Classes)); err != nil {
				return fmt.Errorf("index: split %s: %w", split, err)
			}
			total += shard.Samples.Len()
		}
		if total == 0 {
			return fmt.Errorf("index: split %s has no samples", split)
		}
		if count, ok := ix.Counts[split]; !ok || count != total {
			return fmt.Errorf("index: split %s has %d samples, its count says %d", split, total, count)
		}
	}
	return nil
}

func (s *Shard) validate(classes int) error {
	if !IsRelativePath(s.Name) {
		return fmt.Errorf("shard name %q is not a plain relative path", s.Name)
	}
	if !isSHA256(s.SHA256) {
		return fmt.Errorf("shard %s: sha256 %q is not 64 lower-case hexadecimal digits", s.Name, s.SHA256)
	}
	n := s.Samples.Len()
	if n == 0 {
		return fmt.Errorf("shard %s: no samples", s.Name)
	}
	if len(s.Samples.Offsets) != n || len(s.Samples.Lengths) != n || len(s.Samples.Labels) != n {
		return fmt.Errorf("shard %s: columns of %d, %d, %d and %d entries", s.Name, n,
			len(s.Samples.Offsets), len(s.Samples.Lengths), len(s.Samples.Labels))
	}
	for i, offset := range s.Samples.Offsets {
		length, label := s.Samples.Lengths[i], s.Samples.Labels[i]
		if offset < 0 || length <= 0 || offset > s.Size || length > s.Size-offset {
			return fmt.Errorf("shard %s: sample %d lies at %d+%d of %d bytes", s.Name, i, offset, length, s.Size)
		}
		if label < NoLabel || int(label) >= classes {
			return fmt.Errorf("shard %s: sample %d has label %d of %d classes", s.Name, i, label, classes)
		}
	}
	return nil
}

// IsRelativePath reports whether a name, joined to a prefix, stays below it, as a key and as a file
// name.
func IsRelativePath(name string) bool {
	return name != "" && name != "." && path.Clean(name) == name && !path.IsAbs(name) && name != ".." &&
		!strings.HasPrefix(name, "../") && !strings.ContainsAny(name, "\\\x00")
}

func isSHA256(s string) bool {
	if len(s) != 2*sha256.Size {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// CreateIndex stores the index of a dataset, the write that makes it exist. If another index stands
// there, it fails with [OtherIndexError].
func CreateIndex(ctx context.Context, dst *storage.Bucket, prefix string, ix Index) error {
	data, err := ix.Encode()
	if err != nil {
		return err
	}
	key := KeyPrefix(prefix) + IndexName
	created, err := dst.Create(ctx, key, data)
	if err != nil {
		return fmt.Errorf("writing %s: %w", key, err)
	}
	if created {
		return nil
	}
	stored, err := dst.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("reading %s: %w", key, err)
	}
	if !bytes.Equal(stored, data) {
		return OtherIndexError(prefix)
	}
	return nil
}

// OtherIndexError returns the [storage.ErrExists] of an index that another dataset has stored below
// the prefix. Shards without an index are no obstacle: they are replaced.
func OtherIndexError(prefix string) error {
	return fmt.Errorf("%s%s: %w: it is the index of a dataset with other images, classes, seed or shards; "+
		"to replace that dataset delete this index (and its shards, of which some names may not come again), "+
		"to keep it choose another prefix", KeyPrefix(prefix), IndexName, storage.ErrExists)
}

// Warnings returns likely mistakes in a dataset: a line for each split in which some classes have
// no sample.
func (ix Index) Warnings() []string {
	var warnings []string
	for _, split := range slices.Sorted(maps.Keys(ix.Splits)) {
		if missing := ix.classesWithoutSample(split); len(missing) > 0 {
			warnings = append(warnings, fmt.Sprintf("%d of %d classes have no sample in split %s: %s",
				len(missing), len(ix.Classes), split, Abbreviate(missing)))
		}
	}
	return warnings
}

// classesWithoutSample returns the classes that have no sample in a split, in label order.
func (ix Index) classesWithoutSample(split string) []string {
	seen := make([]bool, len(ix.Classes))
	for _, shard := range ix.Splits[split] {
		for _, label := range shard.Samples.Labels {
			if label != NoLabel {
				seen[label] = true
			}
		}
	}
	var missing []string
	for i, class := range ix.Classes {
		if !seen[i] {
			missing = append(missing, class)
		}
	}
	return missing
}

// maxNamed is the number of names in one message.
const maxNamed = 10

// Abbreviate joins names for a message: the first ten, and the number of the others.
func Abbreviate(names []string) string {
	text := strings.Join(names[:min(len(names), maxNamed)], ", ")
	if more := len(names) - maxNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
