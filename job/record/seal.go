package record

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// The last field of run.json and result.json is the sha256 of all bytes before it. No other object
// names their checksum, as a manifest names that of a checkpoint's parts.
const (
	sealHead = ",\n  \"sha256\": \""
	sealTail = "\"\n}\n"
	sealSize = len(sealHead) + 2*sha256.Size + len(sealTail)
)

// VersionError is a record that another version of the program has written.
type VersionError struct{ Version int }

// Error names both versions.
func (e *VersionError) Error() string {
	return fmt.Sprintf("it has version %d, and this program reads %d", e.Version, Version)
}

// Seal returns a RunRecord or a Result as it is stored: indented JSON with its own checksum.
func Seal(v any) ([]byte, error) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, err
	}
	body, ok := bytes.CutSuffix(text, []byte("\n}"))
	if !ok {
		return nil, errors.New("a record is a JSON object with fields")
	}
	return append(body, sealHead+checksum(body)+sealTail...), nil
}

// Unseal checks the checksum of what Seal has written and decodes it. It refuses every flipped bit,
// and fields that v does not have. A record of another version is a *VersionError.
func Unseal(text []byte, v any) error {
	at := len(text) - sealSize
	if at < 0 || !bytes.HasPrefix(text[at:], []byte(sealHead)) || !bytes.HasSuffix(text, []byte(sealTail)) {
		if other, ok := errors.AsType[*VersionError](checkVersion(text)); ok {
			return other // its format may have no checksum
		}
		return errors.New("it does not end with a checksum: it is cut, or it was changed")
	}
	body, said := text[:at], string(text[at+len(sealHead):len(text)-len(sealTail)])
	if got := checksum(body); got != said {
		return fmt.Errorf("its sha256 is %.12s, and it says %.12q: it was changed", got, said)
	}
	whole := append(bytes.Clone(body), "\n}"...)
	if err := checkVersion(whole); err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(whole))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return err
	}
	if decoder.More() {
		return errors.New("something follows the JSON object")
	}
	return nil
}

func checkVersion(text []byte) error {
	var of struct{ Version int }
	if err := json.Unmarshal(text, &of); err != nil {
		return err
	}
	switch of.Version {
	case Version:
		return nil
	case 0:
		return errors.New("it names no version of its format")
	}
	return &VersionError{of.Version}
}

func checksum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
