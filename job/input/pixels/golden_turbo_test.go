//go:build cgo

package pixels

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// compareGolden allows no difference.
func compareGolden(t *testing.T, got, want []byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d bytes, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			largest, mean := differences(got, want)
			t.Fatalf("byte %d is %d, want %d; mean difference %.3f, largest %d", i, got[i], want[i], mean, largest)
		}
	}
}

// notAsPillow returns "": all files are decoded as Pillow decodes them.
func notAsPillow(string) string { return "" }

// TestGoldenJPEGVariants decodes the JPEG files of Go's own tests: all sampling factors, baseline
// and progressive, restart markers, RGB, CMYK. The numbers are SHA-256 of Pillow's pixels
// (testdata/pillow.py hashes).
func TestGoldenJPEGVariants(t *testing.T) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Skip("no Go distribution at hand: ", err)
	}
	folder := filepath.Join(strings.TrimSpace(string(root)), "src/image/testdata")
	if _, err := os.Stat(folder); err != nil {
		t.Skip("no Go distribution at hand: ", err)
	}
	for name, want := range map[string]string{
		"video-001.221212.jpeg":                              "f3272ae74a3cffedff045db07f79d1a45d91a2b9ad7d553f6c9ad061520eea08",
		"video-001.cmyk.jpeg":                                "0c520656f9cdc43373f0adb211da0c8a01a765601d413344f6cc9fdada50b4a1",
		"video-001.jpeg":                                     "5df7ed5f6d91eb6f79386a0efe61fce71c97db3beda8d0d508952a705d836040",
		"video-001.progressive.jpeg":                         "5df7ed5f6d91eb6f79386a0efe61fce71c97db3beda8d0d508952a705d836040",
		"video-001.progressive.truncated.jpeg":               "27f1edacfec0efdb6b6966a2606aa39a827d9a28b54140694232291ac17432c3",
		"video-001.q50.410.jpeg":                             "6883a5ad925c211c95cbf00595201c2d0b196755ef28a04aef82e01720f51059",
		"video-001.q50.410.progressive.jpeg":                 "6883a5ad925c211c95cbf00595201c2d0b196755ef28a04aef82e01720f51059",
		"video-001.q50.411.jpeg":                             "75c569670c9826c18580d83c195878b217576feb30fad8f0ac224b48abcea5c7",
		"video-001.q50.411.progressive.jpeg":                 "75c569670c9826c18580d83c195878b217576feb30fad8f0ac224b48abcea5c7",
		"video-001.q50.420.jpeg":                             "34c30048db6577036edf51edef4c8d8b0ea3aa607b0da085e29413b3989032fd",
		"video-001.q50.420.progressive.jpeg":                 "34c30048db6577036edf51edef4c8d8b0ea3aa607b0da085e29413b3989032fd",
		"video-001.q50.422.jpeg":                             "973938af4699d5ccb3947a489f39f857ab3ac0e6bd3980a9d6141edf1bbc49bb",
		"video-001.q50.422.progressive.jpeg":                 "973938af4699d5ccb3947a489f39f857ab3ac0e6bd3980a9d6141edf1bbc49bb",
		"video-001.q50.440.jpeg":                             "c7b186405bd897442a01526f2c9fe6e21aacf979d2dd3d3a9138f533abbf919b",
		"video-001.q50.440.progressive.jpeg":                 "c7b186405bd897442a01526f2c9fe6e21aacf979d2dd3d3a9138f533abbf919b",
		"video-001.q50.444.jpeg":                             "4870a71780d96c99c872f04aaf53c89e7e077052b1752dfcc9c470f361d81793",
		"video-001.q50.444.progressive.jpeg":                 "4870a71780d96c99c872f04aaf53c89e7e077052b1752dfcc9c470f361d81793",
		"video-001.restart2.jpeg":                            "5f021700b8dea9da39ee1510fbaf1ef6d81083b7950dd502110f28281843d0b1",
		"video-001.rgb.jpeg":                                 "1dc7b1d4075366f5e3d5366d23c6b54d7e5a9d94bafed68820f048350b4cd69f",
		"video-001.separate.dc.progression.jpeg":             "523f1f1024d537936871b1f1ef81ef175fe13b2e39e75409a685d287ed8bdac3",
		"video-001.separate.dc.progression.progressive.jpeg": "523f1f1024d537936871b1f1ef81ef175fe13b2e39e75409a685d287ed8bdac3",
		"video-005.gray.jpeg":                                "c289899392b656bc1ac0adf0267f13227bfd0d3a46479ef2737ae627e35efdce",
		"video-005.gray.q50.2x2.jpeg":                        "2d5942114f3e03e5169283d1dc7ee515bd6a3860e1d0ac3ebe0cf2cf6c19ca58",
		"video-005.gray.q50.2x2.progressive.jpeg":            "2d5942114f3e03e5169283d1dc7ee515bd6a3860e1d0ac3ebe0cf2cf6c19ca58",
		"video-005.gray.q50.jpeg":                            "2d5942114f3e03e5169283d1dc7ee515bd6a3860e1d0ac3ebe0cf2cf6c19ca58",
		"video-005.gray.q50.progressive.jpeg":                "2d5942114f3e03e5169283d1dc7ee515bd6a3860e1d0ac3ebe0cf2cf6c19ca58",
	} {
		sum := sha256.Sum256(decodeAll(t, readFile(t, filepath.Join(folder, name))))
		if got := hex.EncodeToString(sum[:]); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
