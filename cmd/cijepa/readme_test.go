package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// notTyped is what the README says of a block of commands that no test types.
const notTyped = "not typed by a test"

// TestReadmeCommands types the README's commands, block after block, in one folder. The first two
// blocks are TestFreshClone's, and a block whose paragraph says so is not typed. What a command
// names that is not here gets a stand-in: the bucket, the folder of images, the plugin. Sizes are
// tiny, by variables of the shell, which every preset takes.
func TestReadmeCommands(t *testing.T) {
	slow(t)
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	in := func(name string) string { return filepath.ToSlash(filepath.Join(folder, name)) }
	bucket := "file://" + in("bucket")
	packTiny(t, bucket)
	writeFolders(t, in("images"))
	wrapper := fmt.Sprintf("#!/bin/sh\n%s=1 exec %q \"$@\"\n", asProgram, os.Args[0])
	if err := os.MkdirAll(in("bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in("bin/cijepa"), []byte(wrapper), 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	standIns := strings.NewReplacer(
		"s3://BUCKET", bucket, "FOLDER", in("images"), "runs/NAME", "runs/R-A05-B08-s0", "CIJEPA_DATA=flowers", "CIJEPA_DATA=tiny",
		"xla:/path/of/xla_cuda_plugin.so", "go:ops_sequential",
		"-o ~/bin/ ./cmd/cijepa", "-C "+root+" -o "+in("built")+"/ ./cmd/cijepa",
		"-seeds 3 > rows", "-seeds 1 | head -n 2 > rows", // two of the table's lines
		"CIJEPA_RUN=vit-s cijepa check", "CIJEPA_RUN=vit-s cijepa check | grep 'ok *settings'", // a CPU is no device for it
	)
	environment := bare(in("home"), in(""))
	environment = append(environment, "PATH="+in("bin")+":"+os.Getenv("PATH"), "CIJEPA_CACHE_DIR="+in("cache"),
		"CIJEPA_IMAGE=28", "CIJEPA_PATCH=4", "CIJEPA_WIDTH=16", "CIJEPA_HEADS=2", "CIJEPA_PREDICTOR_WIDTH=8", "CIJEPA_PREDICTOR_HEADS=1", "CIJEPA_PREDICTOR_DEPTH=1",
		"CIJEPA_PRECISION=float32", "CIJEPA_EPOCHS=1", "CIJEPA_BATCH=16", "CIJEPA_PROBE_EPOCHS=1", "CIJEPA_PROBE_BATCH=32", "CIJEPA_EVAL_EVERY=0")
	out, err := exec.Command("go", "env", "GOMODCACHE", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	caches := strings.Fields(string(out))
	environment = append(environment, "GOMODCACHE="+caches[0], "GOCACHE="+caches[1])

	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```").FindAllSubmatchIndex(readme, -1)
	if len(blocks) < 8 {
		t.Fatalf("the README has %d blocks of commands, and the two that TestFreshClone types are among them", len(blocks))
	}
	typed, exports := 0, ""
	for _, at := range blocks[2:] {
		before, commands := strings.TrimRight(string(readme[:at[0]]), "\n"), string(readme[at[2]:at[3]])
		if strings.Contains(before[strings.LastIndex(before, "\n\n")+1:], notTyped) {
			continue
		}
		typed++
		shell := exec.Command("sh", "-e", "-c", exports+standIns.Replace(commands))
		var printed bytes.Buffer
		shell.Dir, shell.Env, shell.Stdout, shell.Stderr = folder, environment, &printed, &printed
		if err := shell.Run(); err != nil {
			t.Errorf("%v\n%s\n%s", err, commands, &printed)
		}
		for _, line := range regexp.MustCompile(`(?m)^export .*\n`).FindAllString(commands, -1) {
			exports += standIns.Replace(line)
		}
	}
	if typed < 5 {
		t.Errorf("of the README's blocks of commands %d were typed", typed)
	}
}

// writeFolders writes images of five classes as train/CLASS and val/CLASS.
func writeFolders(t *testing.T, folder string) {
	t.Helper()
	r := rand.New(rand.NewPCG(3, 4))
	for split, n := range map[string]int{"train": 40, "val": 10} {
		for class := range 5 {
			parent := filepath.Join(folder, split, fmt.Sprintf("class%d", class))
			if err := os.MkdirAll(parent, 0o755); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				picture := image.NewGray(image.Rect(0, 0, 28, 28))
				for p := range picture.Pix {
					picture.SetGray(p%28, p/28, color.Gray{Y: byte(p*(class+1)%128 + r.IntN(128))})
				}
				var file bytes.Buffer
				if err := png.Encode(&file, picture); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(parent, fmt.Sprintf("%d.png", i)), file.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
