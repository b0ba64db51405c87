package checkpoint

import (
	"bytes"
	"errors"
	"testing"

	"github.com/cijepa/cijepa/storage"
)

func exampleManifest() *manifest {
	return &manifest{
		Version: manifestVersion, Sequence: 7, Phase: "pretrain", Step: 1200, Attempt: "pod-1f2e3d4c",
		Previous: sha256Hex(nil), Folder: "state/pretrain-000000001200-pod-1f2e3d4c.1",
		Objects: []storage.Object{{Key: "student.safetensors", Size: 3, SHA256: sha256Hex([]byte("abc"))}},
		Retained: []retained{{Sequence: 6, SHA256: sha256Hex(nil),
			Folder: "state/pretrain-000000001100-pod-1f2e3d4c.0", Keep: true}},
	}
}

// Manifests of this format are in buckets. A change of it is a new version.
func TestStoredManifestsStayReadable(t *testing.T) {
	const stored = `{"manifest":{"version":1,"sequence":7,"phase":"pretrain","step":1200,"attempt":"pod-1f2e3d4c","previous":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",` +
		`"folder":"state/pretrain-000000001200-pod-1f2e3d4c.1","keep":false,"objects":[{"key":"student.safetensors","size":3,"sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}],` +
		`"retained":[{"sequence":6,"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","folder":"state/pretrain-000000001100-pod-1f2e3d4c.0","keep":true}]},` +
		`"sha256":"91f7bee43a0ae1fe1056c04682f0baf38bdfa98a14b7c0c9de326e63bbfe8d92"}`
	data, err := exampleManifest().encode()
	if err != nil {
		t.Fatal(err)
	}
	if string(data) != stored {
		t.Errorf("encoded\n%s\nwant\n%s", data, stored)
	}
	if _, err := decodeManifest(data); err != nil {
		t.Error(err)
	}
}

// Every flipped bit makes a manifest corrupt.
func TestEveryFlippedBitOfAManifestIsFound(t *testing.T) {
	data, err := exampleManifest().encode()
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		for bit := range 8 {
			data[i] ^= 1 << bit
			if _, err := decodeManifest(data); !errors.Is(err, storage.ErrCorrupt) {
				t.Fatalf("byte %d, bit %d: %v", i, bit, err)
			}
			data[i] ^= 1 << bit
		}
	}
}

// A manifest of a newer version is an error, and no damage from which a restore may fall back.
func TestNewerManifestIsNotDamage(t *testing.T) {
	m := exampleManifest()
	m.Version++
	data, err := m.encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decodeManifest(data); err == nil || errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("a newer manifest is not damage, and not readable: %v", err)
	}
}

// Bytes that decode are the bytes that encode writes.
func FuzzDecodeManifest(f *testing.F) {
	data, err := exampleManifest().encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"manifest":{},"sha256":""}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeManifest(data)
		if err != nil {
			return
		}
		if again, err := m.encode(); err != nil || !bytes.Equal(again, data) {
			t.Errorf("decoded %q, encoded %q, %v", data, again, err)
		}
	})
}
