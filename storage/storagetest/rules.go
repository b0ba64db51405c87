package storagetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"strings"
)

// rules is the state that a Store needs to check the rules of the bucket. They are written from the
// layout, not from the code that keeps them:
//   - run.json, result.json and manifests are stored once and never replaced or deleted;
//   - manifest n+1 is created when n is there, and names its checksum, or n as damaged and
//     unreadable;
//   - every object that a manifest names is there, whole, when the manifest is created;
//   - an object that a manifest has named is never replaced,
//     and not deleted while the newest manifest retains it.
type rules struct {
	committed map[string]string // object -> folder, of every manifest so far
	retained  map[string]bool   // folders that the newest manifest keeps
}

// record is the part of a manifest that the rules need.
type record struct {
	Sequence int64
	Previous string
	Folder   string
	Objects  []struct {
		Key    string
		Size   int64
		SHA256 string
	}
	Retained, Damaged []struct {
		Sequence       int64
		Folder, SHA256 string
	}
}

// unreadable reports whether the manifest records the one before it as damaged, without the
// checksum of its bytes.
func (m record) unreadable() bool {
	for _, x := range m.Damaged {
		if x.Sequence == m.Sequence-1 && x.SHA256 == "" && m.Previous == "" {
			return true
		}
	}
	return false
}

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// writtenOnce reports whether a key is that of a record, which is created once and never replaced
// or deleted.
func writtenOnce(key string) bool {
	name := path.Base(key)
	return name == "run.json" || name == "result.json" || path.Base(path.Dir(key)) == "manifest"
}

// checkWrite checks a write before it takes effect. mu must be held.
func (s *Store) checkWrite(key string, data []byte) {
	old, there := s.objects[key]
	if there && writtenOnce(key) {
		s.t.Errorf("rule broken: %s was replaced", key)
	}
	if _, named := s.rules.committed[key]; named {
		s.t.Errorf("rule broken: committed object %s was rewritten, with equal bytes: %t", key, bytes.Equal(old.data, data))
	}
	if path.Base(path.Dir(key)) == "manifest" {
		s.checkManifest(key, data)
	}
}

// checkDelete checks a deletion before it takes effect. mu must be held.
func (s *Store) checkDelete(key string) {
	if writtenOnce(key) {
		s.t.Errorf("rule broken: %s was deleted", key)
	}
	if folder, named := s.rules.committed[key]; named && s.rules.retained[folder] {
		s.t.Errorf("rule broken: %s was deleted while the newest manifest retains it", key)
	}
}

func (s *Store) checkManifest(key string, data []byte) {
	var sealed struct{ Manifest record }
	if err := json.Unmarshal(data, &sealed); err != nil {
		s.t.Errorf("rule broken: manifest %s: %v", key, err)
		return
	}
	m, root := sealed.Manifest, strings.TrimSuffix(path.Dir(key), "manifest")
	if path.Base(key) != fmt.Sprintf("%012d.json", m.Sequence) {
		s.t.Errorf("rule broken: %s has sequence %d", key, m.Sequence)
	}
	before, there := s.objects[fmt.Sprintf("%smanifest/%012d.json", root, m.Sequence-1)]
	switch {
	case m.Sequence > 1 && !there:
		s.t.Errorf("rule broken: %s was created before the one before it", key)
	case m.Sequence > 1 && m.Previous != hexSum(before.data) && !m.unreadable(), m.Sequence == 1 && m.Previous != "":
		s.t.Errorf("rule broken: %s names another manifest than the one before it", key)
	}
	for _, o := range m.Objects {
		name := root + m.Folder + "/" + o.Key
		stored, there := s.objects[name]
		if !there || int64(len(stored.data)) != o.Size || hexSum(stored.data) != o.SHA256 {
			s.t.Errorf("rule broken: %s names %s, which is not there as it says", key, name)
		}
		s.rules.committed[name] = root + m.Folder
	}
	s.rules.retained = map[string]bool{root + m.Folder: true}
	for _, x := range append(m.Retained, m.Damaged...) {
		s.rules.retained[root+x.Folder] = true
	}
}
